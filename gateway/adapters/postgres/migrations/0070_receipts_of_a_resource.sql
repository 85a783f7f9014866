-- What a region has destroyed of a resource, asked while a region recovers.
CREATE INDEX receipt_resource ON receipt (region, resource);
