-- What each region last said of its edges: the body is a serialized orbital.v1.ObserveRequest, the complete list.
CREATE TABLE edge_observation (
    region text COLLATE "C" PRIMARY KEY,
    sent_at timestamptz NOT NULL,
    heard_at timestamptz NOT NULL,
    body bytea NOT NULL
) WITH (fillfactor = 70);
