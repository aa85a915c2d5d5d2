-- A withdrawn model comes back only as what it was; the caller compares.
WITH before AS (
    SELECT withdrawn_at IS NULL AS deployed FROM model WHERE tenant = %(tenant)s AND id = %(id)s
), stored AS (
    INSERT INTO model (tenant, id, provider, settings, dimension)
    VALUES (%(tenant)s, %(id)s, %(provider)s, %(settings)s, %(dimension)s)
    ON CONFLICT (tenant, id) DO UPDATE
    SET withdrawn_at = CASE
        WHEN model.provider = excluded.provider AND model.settings = excluded.settings
             AND model.dimension = excluded.dimension THEN NULL ELSE model.withdrawn_at END
    RETURNING *
), resumed AS (
    UPDATE lane SET stopped_at = NULL, stop_reason = NULL, probe_at = NULL
    WHERE tenant = %(tenant)s AND model = %(id)s AND stopped_at IS NOT NULL
)
SELECT *, coalesce((SELECT NOT deployed FROM before), true) AS created FROM stored;
