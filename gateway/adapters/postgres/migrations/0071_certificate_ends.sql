-- When the certificate ends that a region's checker showed last; none of a region that shows tokens.
ALTER TABLE checker ADD COLUMN certificate_ends_at timestamptz;
