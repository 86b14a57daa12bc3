#!/bin/sh
# Run once, for a new database: a user with a schema of its own, and no other right.
set -eu
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
  -v password="$(cat /run/secrets/store-password)" <<'SQL'
CREATE ROLE nessus_sched LOGIN PASSWORD :'password';
CREATE SCHEMA nessus_sched AUTHORIZATION nessus_sched;
SQL
