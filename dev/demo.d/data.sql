-- Ninety days of data up to now, the oldest first, about 500 chunks.
INSERT INTO public.conditions
SELECT t, 'hall-' || s, 18 + 6 * sin(extract(epoch FROM t) / 13751) + s * 0.1, 40 + 15 * random()
FROM generate_series(now() - interval '90 days', now(), interval '5 minutes') t, generate_series(1, 8) s;

INSERT INTO "Plant 7"."Größe; drop"
SELECT d, part, 25 + random() * 0.02
FROM generate_series(current_date - 90, current_date, interval '1 day') d, generate_series(1, 400) part;

INSERT INTO line.events
SELECT (extract(epoch FROM t) * 1000)::bigint, m, (ARRAY['start', 'stop', 'jam', 'tool change'])[1 + floor(random() * 4)::int],
       jsonb_build_object('shift', 1 + extract(hour FROM t)::int / 8, 'pieces', floor(random() * 500))
FROM generate_series(now() - interval '90 days', now(), interval '6 minutes') t, generate_series(1, 6) m;

INSERT INTO public.meters
SELECT t, m, 1000 * m + extract(epoch FROM t - now() + interval '90 days') / 3600 * (0.5 + random())
FROM generate_series(now() - interval '90 days', now(), interval '15 minutes') t, generate_series(1, 12) m;

INSERT INTO public.calibrations
SELECT t, 'hall-' || s, 'offset ' || round((random() - 0.5)::numeric, 2)
FROM generate_series(now() - interval '90 days', now(), interval '7 days') t, generate_series(1, 8) s;

-- Row estimates for the plan, which otherwise has none, and sizes that stay as they are.
VACUUM ANALYZE;
