-- Roles of a log in PostgreSQL: mesh_log writes (the orchestrator's processes and deploy/enroll), mesh_reader
-- only reads (auditors, copies). Neither owns a table, so neither can change, remove or unguard a row.
--
--     psql DATABASE -f deploy/log-roles.sql        as the owner, after the first start has made the tables
--
-- Then log_url = postgresql://mesh_log@HOST/DATABASE. May be run again. Passwords and pg_hba.conf are the server's.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mesh_log') THEN
        CREATE ROLE mesh_log LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mesh_reader') THEN
        CREATE ROLE mesh_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;
    END IF;
END
$$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON conflicts, audit, grants, incidents FROM PUBLIC, mesh_log, mesh_reader;
GRANT SELECT, INSERT ON conflicts, audit, grants, incidents TO mesh_log;
GRANT SELECT ON conflicts, audit, grants, incidents TO mesh_reader;
