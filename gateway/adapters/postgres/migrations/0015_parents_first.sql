-- What became due together is driven in the order in which it was made: a tenant before its Systems, those before Links.
DROP INDEX placement_due;
CREATE INDEX placement_due ON placement (lane, due_at, resource_id) WHERE desired_generation > observed_generation;
