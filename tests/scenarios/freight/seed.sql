-- What the desk had in its books before the recording. Keys are md5 of names, so that the driver knows them.
-- $PASSWORD is the argon2 hash of every user's password.
INSERT INTO organisations (id, code, name, kind, country, currency, credit_limit, tags, preferences)
SELECT md5(code)::uuid, code, name, kind::organisation_kind, country, currency, credit_limit, tags::text[], prefs::jsonb
FROM (VALUES
    ('DESK', 'Freight Desk', 'broker', 'NL', 'EUR', 0, '{internal}', '{}'),
    ('ACME', 'Acme Tools', 'shipper', 'DE', 'EUR', 50000, '{key-account,tools}', '{"language": "de", "units": "metric"}'),
    ('BLOOM', 'Bloom & Sons Flowers', 'shipper', 'NL', 'EUR', 12000, '{perishable}', '{"units": "imperial"}'),
    ('NORDFISK', 'Nordfisk AS', 'shipper', 'NO', 'NOK', 30000, '{perishable,reefer}', '{"language": "no"}'),
    ('GLOBEX', 'Globex Corporation', 'consignee', 'US', 'USD', 90000, '{key-account}', '{"units": "imperial"}'),
    ('SAKURA', 'Sakura Trading 桜', 'consignee', 'CN', 'USD', 20000, '{}', '{}'),
    ('OCEANIC', 'Oceanic Lines', 'carrier', 'SG', 'USD', 0, '{}', '{}'),
    ('POLARIS', 'Polaris Shipping', 'carrier', 'DE', 'EUR', 0, '{reefer}', '{}'),
    ('CLEARLY', 'Clearly Customs', 'broker', 'BE', 'EUR', 0, '{}', '{}'),
    ('STARTUP', 'Startup without shipments', 'shipper', 'GB', 'GBP', 100, '{new}', '{}')
) AS given (code, name, kind, country, currency, credit_limit, tags, prefs);

INSERT INTO contacts (id, organisation_id, name, email, topics)
SELECT md5('contact:' || name)::uuid, md5(code)::uuid, name, email, topics::text[]
FROM (VALUES
    ('ACME', 'Anna Amboss', 'billing@acme.example', '{billing}'),
    ('ACME', 'Axel Acker', 'export@acme.example', '{shipping}'),
    ('BLOOM', 'Bea Bloom', NULL, '{billing,shipping}'),
    ('NORDFISK', 'Nils Nansen', 'nils@nordfisk.example', '{billing}'),
    ('GLOBEX', 'Hank Scorpio', 'hank@globex.example', '{shipping}')
) AS given (code, name, email, topics);

INSERT INTO users (id, organisation_id, email, full_name, role, password_hash, active)
SELECT md5(email)::uuid, md5(code)::uuid, email, full_name, role::user_role, '$PASSWORD', active
FROM (VALUES
    ('DESK', 'ada@desk.example', 'Ada Admin', 'admin', true),
    ('DESK', 'paul@desk.example', 'Paul Planner', 'planner', true),
    ('DESK', 'clara@desk.example', 'Clara Clerk', 'clerk', true),
    ('ACME', 'axel@acme.example', 'Axel Acker', 'customer', true),
    ('BLOOM', 'bea@bloom.example', 'Bea Bloom', 'customer', true),
    ('DESK', 'gone@desk.example', 'Gone Goodman', 'planner', false)
) AS given (code, email, full_name, role, active);

INSERT INTO vessels (imo, carrier_id, name, capacity_teu, particulars) VALUES
    (9321483, md5('OCEANIC')::uuid, 'Emerald Tide', 4000, '{"flag": "SG", "built": 2006, "reefer_plugs": 400}'),
    (9703291, md5('OCEANIC')::uuid, 'Coral Express', 60, '{"flag": "LR", "built": 2015}'),
    (9839430, md5('POLARIS')::uuid, 'Polar Star', 900, '{"flag": "DE", "built": 2020, "ice_class": "1A"}');

INSERT INTO voyages (id, vessel_imo, number, allocated_teu)
SELECT md5('voyage:' || number)::uuid, imo, number, allocated
FROM (VALUES (9321483, 'ET-101E', 120), (9321483, 'ET-102W', 0), (9703291, 'CX-7', 55), (9839430, 'PS-33', 10))
    AS given (imo, number, allocated);

INSERT INTO voyage_legs (id, voyage_id, vessel_imo, sequence, origin_code, destination_code, sailing)
SELECT md5('leg:' || number || ':' || sequence)::uuid, md5('voyage:' || number)::uuid, imo, sequence, origin, destination,
       tstzrange(timestamptz '2091-03-01 06:00+00' + departs * interval '1 hour',
                 timestamptz '2091-03-01 06:00+00' + arrives * interval '1 hour')
FROM (VALUES
    ('ET-101E', 9321483, 1, 'NLRTM', 'SGSIN', 0, 504), ('ET-101E', 9321483, 2, 'SGSIN', 'CNSHA', 540, 660),
    ('ET-102W', 9321483, 1, 'CNSHA', 'SGSIN', 700, 820), ('ET-102W', 9321483, 2, 'SGSIN', 'NLRTM', 850, 1380),
    ('CX-7', 9703291, 1, 'SGSIN', 'INNSA', 560, 650), ('CX-7', 9703291, 2, 'INNSA', 'ZADUR', 680, 900),
    ('PS-33', 9839430, 1, 'DEHAM', 'NLRTM', -60, -40), ('PS-33', 9839430, 2, 'NLRTM', 'USNYC', 10, 230)
) AS given (number, imo, sequence, origin, destination, departs, arrives);

INSERT INTO tariffs (id, origin_code, destination_code, valid, per_teu, currency, surcharges) VALUES
    (md5('t1')::uuid, 'NLRTM', 'SGSIN', '[2020-01-01,2099-01-01)', 1450.00, 'USD', '{"bunker": "120.50", "peak season": "75"}'),
    (md5('t2')::uuid, 'NLRTM', 'USNYC', '[2020-01-01,2099-01-01)', 2210.40, 'USD', '{"fuel": {"percent": 7.25}, "chassis": "60"}'),
    (md5('t3')::uuid, 'CNSHA', 'NLRTM', '[2020-01-01,2022-01-01)', 3999.99, 'USD', '{}');

INSERT INTO exchange_rates (currency, day, euros) VALUES
    ('EUR', '2024-01-01', 1), ('USD', '2024-01-01', 0.91), ('USD', '2024-06-03', 0.923450), ('GBP', '2024-06-03', 1.174200),
    ('CNY', '2024-06-03', 0.1271);

-- Numbers 1 to 140, spread over lanes, shippers and statuses.
INSERT INTO shipments (id, reference, version, status, shipper_id, consignee_id, origin_code, destination_code, incoterm,
                       instructions, attributes, created_at, updated_at)
SELECT md5('FRT-' || lpad(n::text, 6, '0'))::uuid, 'FRT-' || lpad(n::text, 6, '0'), 1 + n % 3,
       (ARRAY['booked', 'in_transit', 'delivered', 'draft', 'cancelled'])[1 + n % 5]::shipment_status,
       md5((ARRAY['ACME', 'BLOOM', 'NORDFISK'])[1 + n % 3])::uuid, md5((ARRAY['GLOBEX', 'SAKURA'])[1 + n % 2])::uuid,
       (ARRAY['NLRTM', 'DEHAM', 'SGSIN'])[1 + n % 3], (ARRAY['SGSIN', 'USNYC', 'CNSHA', 'NLRTM'])[1 + n % 4],
       (ARRAY['FOB', 'CIF', 'EXW'])[1 + n % 3], CASE WHEN n % 4 = 0 THEN 'Ring the bell at gate ' || n END,
       jsonb_strip_nulls(jsonb_build_object('teu', 1 + n % 6, 'temperature', CASE WHEN n % 9 = 0 THEN -18 - n % 5 END)),
       timestamptz '2030-01-01 00:00+00' + n * interval '7 hours', timestamptz '2030-02-01 00:00+00' + n * interval '5 hours'
FROM generate_series(1, 140) AS n;

INSERT INTO cargo_items (id, shipment_id, line, description, hs_code, quantity, unit_weight_kg, un_numbers)
SELECT md5('item:' || n || ':' || line)::uuid, md5('FRT-' || lpad(n::text, 6, '0'))::uuid, line,
       (ARRAY['Hammers', 'Tulips, cut', 'Frozen cod', 'Lithium batteries', 'Œuvres d''art'])[1 + (n + line) % 5],
       lpad(((n * 7919 + line) % 1000000)::text, 6, '0'), 1 + (n + line) % 40, round((n % 17 + line) * 1.125, 3),
       CASE WHEN (n + line) % 5 = 3 THEN '{UN3480,UN3481}'::text[] ELSE '{}' END
FROM generate_series(1, 140) AS n, generate_series(1, 3) AS line
WHERE line <= 1 + n % 3;

INSERT INTO containers (number, iso_type, tare_kg, max_gross_kg)
SELECT 'FRTU' || lpad((n * 37)::text, 7, '0'), (ARRAY['22G1', '45R1'])[1 + n % 2], 2200 + n * 12.5, 30480
FROM generate_series(1, 20) AS n;

INSERT INTO packings (item_id, container_number, quantity, seal)
SELECT i.id, 'FRTU' || lpad((37 * (1 + (row_number() OVER (ORDER BY s.reference, i.line)) % 20))::text, 7, '0'), i.quantity,
       CASE WHEN i.line = 1 THEN 'S' || substr(s.reference, 5) END
FROM cargo_items i JOIN shipments s ON s.id = i.shipment_id WHERE s.reference < 'FRT-000060';

INSERT INTO bookings (shipment_id, leg_id, position, teu, confirmed_at)
SELECT md5('FRT-' || lpad(n::text, 6, '0'))::uuid, md5('leg:' || leg)::uuid, position, 1 + n % 4,
       CASE WHEN n % 2 = 0 THEN timestamptz '2030-02-03 04:05:06.789+00' END
FROM generate_series(3, 45, 3) AS n, (VALUES ('ET-101E:1', 1), ('ET-101E:2', 2)) AS legs (leg, position)
WHERE n % 5 <> 4;

INSERT INTO tracking_events (shipment_id, kind, port_code, occurred_at, received_at, source, source_id, payload)
SELECT md5('FRT-' || lpad(n::text, 6, '0'))::uuid, (ARRAY['gate_in', 'loaded', 'departed'])[step]::event_kind,
       CASE WHEN step < 3 THEN (ARRAY['NLRTM', 'DEHAM', 'SGSIN'])[1 + n % 3] END,
       timestamptz '2030-02-10 10:00+01' + (n * 3 + step * 11) * interval '1 hour',
       timestamptz '2030-02-20 00:00+00', 'seed', n || '-' || step, jsonb_build_object('step', step, 'raw', n * 1.5)
FROM generate_series(1, 60) AS n, generate_series(1, 3) AS step;

INSERT INTO tracking_events (shipment_id, kind, port_code, occurred_at, source, source_id) VALUES
    (md5('FRT-000066')::uuid, 'transshipped', 'SGSIN', '2030-03-01 12:00+08', 'seed', '66-t');

INSERT INTO customs_entries (id, shipment_id, broker_id, number, duty, released_at)
SELECT md5('customs:' || n)::uuid, md5('FRT-' || lpad(n::text, 6, '0'))::uuid,
       CASE WHEN n <> 41 THEN md5('CLEARLY')::uuid END, 'CE-' || lpad(n::text, 6, '0'), n * 13.37,
       CASE WHEN n % 7 = 0 THEN timestamptz '2030-03-03 09:00+00' END
FROM generate_series(1, 50) AS n;

INSERT INTO quotes (id, shipper_id, origin_code, destination_code, teu, amount, currency, breakdown, expires_at) VALUES
    (md5('q-old')::uuid, md5('ACME')::uuid, 'NLRTM', 'SGSIN', 2, 2680.00, 'EUR', '{"source": "tariff"}', '2024-01-01 00:00+00'),
    (md5('q-ny')::uuid, md5('ACME')::uuid, 'NLRTM', 'USNYC', 3, 6123.45, 'EUR', '{"source": "tariff"}', '2099-01-01 00:00+00'),
    (md5('q-sg')::uuid, md5('ACME')::uuid, 'NLRTM', 'SGSIN', 4, 5360.00, 'EUR', '{"source": "tariff"}', '2099-01-01 00:00+00'),
    (md5('q-bloom')::uuid, md5('BLOOM')::uuid, 'NLRTM', 'SGSIN', 1, 1340.00, 'EUR', '{"source": "tariff"}', '2099-01-01 00:00+00');

UPDATE shipments SET quote_id = md5('q-ny')::uuid, origin_code = 'NLRTM', destination_code = 'USNYC' WHERE reference = 'FRT-000012';
UPDATE shipments SET quote_id = md5('q-sg')::uuid, origin_code = 'NLRTM', destination_code = 'SGSIN' WHERE reference = 'FRT-000015';
UPDATE shipments SET quote_id = md5('q-bloom')::uuid, origin_code = 'NLRTM', destination_code = 'SGSIN' WHERE reference = 'FRT-000016';

INSERT INTO invoices (id, number, shipment_id, customer_id, status, currency, total, paid, due_on)
SELECT md5('INV-' || n)::uuid, 'INV-' || lpad(n::text, 6, '0'), md5('FRT-' || lpad((20 + n)::text, 6, '0'))::uuid,
       md5((ARRAY['ACME', 'BLOOM', 'NORDFISK'])[1 + n % 3])::uuid, 'open', 'EUR', n * 111.11,
       CASE WHEN n = 4 THEN 100.00 ELSE 0 END, date '2024-05-01' + n * 11
FROM generate_series(1, 12) AS n;

INSERT INTO invoice_lines (invoice_id, position, text, amount)
SELECT md5('INV-' || n)::uuid, position, 'Position ' || position, n * 55.55 + (position - 1) * n * 0.01
FROM generate_series(1, 12) AS n, generate_series(1, 2) AS position;

INSERT INTO payments (invoice_id, amount, bank_reference, received_at) VALUES
    (md5('INV-4')::uuid, 100.00, 'SEPA-0001', '2024-07-01 09:30+00');

INSERT INTO jobs (kind, payload, priority)
SELECT (ARRAY['archive', 'reindex'])[1 + n % 2], jsonb_build_object('batch', n), n % 3 FROM generate_series(1, 5) AS n;

INSERT INTO subscriptions (id, organisation_id, url, signing_secret, topics) VALUES
    (md5('sub-1')::uuid, md5('ACME')::uuid, '$HOOKS/hooks/acme', 'whsec_acme_5Hn8bJt3VdKe6Mx', '{shipment.created,shipment.loaded}'),
    (md5('sub-2')::uuid, md5('ACME')::uuid, '$HOOKS/hooks/refused', 'whsec_acme_9Lp2cQw7ZrTy4Ns', '{shipment.created}');
