SELECT what, count FROM login_failure ORDER BY what;
