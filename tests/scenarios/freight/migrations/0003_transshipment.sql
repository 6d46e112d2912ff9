-- Terminals report transshipments since May.
ALTER TYPE event_kind ADD VALUE IF NOT EXISTS 'transshipped' AFTER 'arrived';
