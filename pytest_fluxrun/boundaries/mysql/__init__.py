"""What the drivers of MySQL and MariaDB share: statements as requests, answers as packets. No driver is imported."""
