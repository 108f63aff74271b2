# Read by PostgreSQL's image when its volume is empty: Souk's two roles and its database.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username postgres --dbname postgres <<'END'
\set owner `cat /run/secrets/database_password`
\set capture `cat /run/secrets/cdc_password`
CREATE ROLE souk LOGIN CREATEDB PASSWORD :'owner';
CREATE ROLE souk_cdc LOGIN REPLICATION PASSWORD :'capture';
CREATE DATABASE souk OWNER souk;
END
