-- True from the moment when a resource is told to leave a region. The row goes once the region has proven it.
ALTER TABLE placement ADD COLUMN leaving boolean NOT NULL DEFAULT false;
CREATE INDEX placement_leaving ON placement (resource_id) WHERE leaving;

-- The generation by which a resource left a region: it comes back by a later one alone.
CREATE TABLE departure (
    resource_id bigint NOT NULL REFERENCES resource (id),
    region text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    left_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (resource_id, region)
);
