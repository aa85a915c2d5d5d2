DROP TABLE IF EXISTS {documents}, {parts};
