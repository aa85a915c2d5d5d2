SELECT 'vector'::regtype::oid AS oid;
