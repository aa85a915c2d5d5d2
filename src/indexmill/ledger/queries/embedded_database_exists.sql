SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'indexmill') AS found
