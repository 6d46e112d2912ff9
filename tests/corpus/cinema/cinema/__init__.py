"""A cinema's box office: screenings, bookings, vouchers, a signed webhook and three jobs."""
