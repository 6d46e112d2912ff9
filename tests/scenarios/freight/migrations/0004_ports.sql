-- The harbours that we serve.
INSERT INTO ports (code, name, country, time_zone, latitude, longitude, services) VALUES
    ('NLRTM', 'Rotterdam', 'NL', 'Europe/Amsterdam', 51.94750, 4.14290, '{bunker,reefer,customs}'),
    ('DEHAM', 'Hamburg', 'DE', 'Europe/Berlin', 53.54010, 9.98420, '{bunker,reefer,customs,rail}'),
    ('BEANR', 'Antwerp', 'BE', 'Europe/Brussels', 51.27030, 4.33670, '{bunker,customs}'),
    ('GBFXT', 'Felixstowe', 'GB', 'Europe/London', 51.95410, 1.30520, '{customs,rail}'),
    ('CNSHA', 'Shanghai', 'CN', 'Asia/Shanghai', 31.23040, 121.49100, '{bunker,reefer,customs}'),
    ('SGSIN', 'Singapore', 'SG', 'Asia/Singapore', 1.26440, 103.82000, '{bunker,reefer,customs}'),
    ('USNYC', 'New York', 'US', 'America/New_York', 40.66840, -74.04510, '{customs,rail}'),
    ('BRSSZ', 'Santos', 'BR', 'America/Sao_Paulo', -23.95350, -46.32500, '{reefer,customs}'),
    ('ZADUR', 'Durban', 'ZA', 'Africa/Johannesburg', -29.87180, 31.02600, '{customs}'),
    ('INNSA', 'Nhava Sheva', 'IN', 'Asia/Kolkata', 18.95000, 72.95000, '{}');
