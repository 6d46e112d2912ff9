-- Numbers that people read, and what the pages of the desk look for.
CREATE SEQUENCE shipment_numbers START 2001;
CREATE SEQUENCE invoice_numbers START 701;

CREATE INDEX ix_shipments_shipper_status ON shipments (shipper_id, status);
CREATE INDEX ix_shipments_attributes ON shipments USING gin (attributes jsonb_path_ops);
CREATE INDEX ix_tracking_events_shipment ON tracking_events (shipment_id, occurred_at);
CREATE INDEX ix_voyage_legs_lane ON voyage_legs (origin_code, destination_code);
CREATE INDEX ix_jobs_ready ON jobs (priority DESC, run_after) WHERE status = 'ready';
CREATE INDEX ix_organisations_tags ON organisations USING gin (tags);
