"""Which lines of configuration files name a database that only this machine reaches, and which do not."""

from __future__ import annotations

import time

import pytest

from syncer.doctor.local_databases import FOUND_MOST, LocalAddress, local_addresses

LOCAL = [
    # URLs by their scheme.
    ("DATABASE_URL=postgres://app:s3cret@localhost:5432/app", "localhost:5432"),
    ("url = postgresql://127.0.0.1/app", "127.0.0.1"),
    ("dsn: postgresql+psycopg2://app@[::1]:5432/app", "[::1]:5432"),
    ("SQLALCHEMY_DATABASE_URI = 'mysql+pymysql://u:p@127.0.0.1/app'", "127.0.0.1"),
    ("postgresql:///app", "localhost"),
    ("uri = postgresql:///app?host=/var/run/postgresql", "/var/run/postgresql"),
    ("mysql://u:p@db1.example.com,localhost:3307/app", "localhost:3307"),
    ("mongodb://localhost:27017", "localhost:27017"),
    ("mongodb+srv://a:b@localhost/app", "localhost"),
    ("mongodb://%2Ftmp%2Fmongodb-27017.sock/app", "/tmp/mongodb-27017.sock"),
    ("cache = redis://:hunter2@localhost:6379/0", "localhost:6379"),
    ("rediss://127.1/1", "127.1"),
    ("CELERY_BROKER_URL=redis+socket:///run/redis/redis.sock", "/run/redis/redis.sock"),
    ("mysql://root@ip6-localhost/app", "ip6-localhost"),
    ("clickhouse://LOCALHOST:9000/default", "LOCALHOST:9000"),
    ("<property name='url' value='jdbc:mysql://localhost:3306/app?useSSL=false&amp;a=b'/>", "localhost:3306"),
    ("spring.datasource.url=jdbc:postgresql://127.0.0.1:5432/app", "127.0.0.1:5432"),
    ("url=jdbc\\:mysql\\://localhost\\:3306/app", "localhost:3306"),
    ("jdbc.url = jdbc:postgresql:app", "localhost"),
    ("url: jdbc:sqlserver://localhost:1433;databaseName=app;password=x", "localhost:1433"),
    ("url: jdbc:sqlserver://localhost\\SQLEXPRESS;databaseName=app", "localhost\\SQLEXPRESS"),
    ("url: jdbc:jtds:sqlserver://127.0.0.1/app", "127.0.0.1"),
    ("url: jdbc:oracle:thin:@localhost:1521:xe", "localhost:1521"),
    ("url: jdbc:oracle:thin:@//localhost:1521/xe", "localhost:1521"),
    ("url: jdbc:oracle:thin:scott/tiger@127.0.0.1:1521:xe", "127.0.0.1:1521"),
    ("url: jdbc:mariadb:loadbalance://localhost,db2/app", "localhost"),
    ("url: jdbc:db2://localhost:50000/app", "localhost:50000"),
    ("url: jdbc:h2:tcp://localhost/~/app", "localhost"),
    # What PHP and Go write.
    ("$dsn = 'mysql:host=localhost;dbname=app';", "localhost"),
    ("'dsn' => 'pgsql:host=127.0.0.1;port=5432;dbname=app',", "127.0.0.1"),
    ("'dsn' => 'mysql:unix_socket=/run/mysqld/mysqld.sock;dbname=app',", "/run/mysqld/mysqld.sock"),
    ('$dsn = "sqlsrv:Server=(local);Database=app";', "(local)"),
    ("  (ADDRESS = (PROTOCOL = TCP)(HOST = localhost)(PORT = 1521))", "localhost"),
    ('dsn = "app:s3cret@tcp(127.0.0.1:3306)/app"', "127.0.0.1:3306"),
    ('dsn = "app:s3cret@unix(/var/run/mysqld/mysqld.sock)/app"', "/var/run/mysqld/mysqld.sock"),
    ("define('DB_HOST', 'localhost');", "localhost"),
    ('define( "DB_HOST", "127.0.0.1:3307" );', "127.0.0.1:3307"),
    ("$config['db_host'] = 'localhost';", "localhost"),
    ("$cfg['db']['mysqlHost'] = \"localhost\";", "localhost"),
    # Connection strings.
    ('<add connectionString="Server=(local);Database=app;Integrated Security=true"/>', "(local)"),
    ("Data Source=.\\SQLEXPRESS;Initial Catalog=app", ".\\SQLEXPRESS"),
    ('ConnectionString = "Server=.;Database=app;Uid=sa;Pwd=hunter2"', "."),
    ("Server=(localdb)\\MSSQLLocalDB;Integrated Security=true", "(localdb)\\MSSQLLocalDB"),
    ('"Default": "Data Source=127.0.0.1,1433;Initial Catalog=app;User ID=sa;Password=x"', "127.0.0.1"),
    ('"Default": "Server=tcp:localhost,1433;Database=app"', "localhost"),
    ('"Default": "Server=.\\\\SQLEXPRESS;Database=app"', ".\\SQLEXPRESS"),
    ("Driver={MySQL ODBC 8.0 Driver};Server=localhost;Database=app;UID=u;PWD=p", "localhost"),
    ("connect = host=localhost dbname=mails user=mail password=s3cret", "localhost"),
    ('connection = "host=/var/run/postgresql dbname=app"', "/var/run/postgresql"),
    ('action(type="ommysql" server="127.0.0.1" db="Syslog" uid="r" pwd="x")', "127.0.0.1"),
    # Keys.
    ("DB_HOST=localhost", "localhost"),
    ("export PGHOST=/var/run/postgresql", "/var/run/postgresql"),
    ("db.host: 127.0.0.1", "127.0.0.1"),
    ('  "dbHost": "::1",', "::1"),
    ("database_server = 127.0.0.1 # the old one", "127.0.0.1"),
    ("redis_host 127.0.0.1;", "127.0.0.1"),
    ("<dbhost>localhost</dbhost>", "localhost"),
    ("mysql-server: ::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ('MONGO_HOSTNAME = "db.localhost"', "db.localhost"),
    # Sockets.
    ("hosts = unix:/var/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock"),
    ("socket: /tmp/.s.PGSQL.5432", "/tmp/.s.PGSQL.5432"),
    ("unix:///run/redis/redis-server.sock", "/run/redis/redis-server.sock"),
    ("mysqli.default_socket = /run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock"),
]

NOT_LOCAL = [
    "listen 127.0.0.1:80;",
    "server 127.0.0.1:8080 weight=5;",
    "proxy_pass http://localhost:3000;",
    "fastcgi_pass unix:/run/php/php-fpm.sock;",
    "bind 127.0.0.1:6379",
    "redis_bind = 127.0.0.1",
    "mysql_allow_hosts = 127.0.0.1",
    "allow 127.0.0.1;",
    "mynetworks = 127.0.0.0/8 [::1]/128",
    "smtp_host = localhost",
    "db_host = db1.example.com",
    "db_host = localhost.example.com",
    "DB_HOST=10.0.1.20",
    "db_name = localhost",
    "DATABASE_URL=postgres://app:localhost@db1.example.com/app",
    "DATABASE_URL=postgres://localhost:s3cret@db1.example.com/app",
    "redis://cache.example.com/0?note=localhost",
    "jdbc:mysql://db1.example.com/localhost",
    "jdbc:oracle:thin:@db1.example.com:1521:xe",
    "# db_host = localhost",
    "; db_host = localhost",
    "// dsn = mysql://localhost/app",
    "<!-- jdbc:mysql://localhost/app -->",
    "server_name localhost;",
    "127.0.0.1 localhost db",
    "log_format redis 'localhost';",
    "Server=web1;Path=localhost",
    "HTTP_HOST=localhost",
    "url = http://localhost/database",
    "see postgres documentation at localhost",
    "pidfile /run/redis/redis.pid",
    "path = /var/lib/mysql",
    "host = localhost",
    "Server=localhost",
]


@pytest.mark.parametrize(("line", "address"), LOCAL)
def test_a_database_of_this_machine_is_found(line: str, address: str) -> None:
    [found] = local_addresses([line])
    assert (found.line, found.address) == (1, address)


@pytest.mark.parametrize("line", NOT_LOCAL)
def test_all_else_is_left_alone(line: str) -> None:
    assert list(local_addresses([line])) == []


def found_in(text: str) -> list[tuple[int, str, str]]:
    return [tuple(item) for item in local_addresses(text.splitlines())]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nhost = localhost\n[database]\nhost = 127.0.0.1:3306\n", [(4, "127.0.0.1:3306", "database host")]),
        ("web:\n  host: localhost\ndatabase:\n  host: localhost\n", [(4, "localhost", "database host")]),
        ("production:\n  db:\n    server: ::1\n  http:\n    host: ::1\n", [(3, "::1", "db server")]),
        ('{\n  "redis": {\n    "host": "localhost"\n  },\n  "web": {\n    "host": "localhost"\n  }\n}\n',
         [(3, "localhost", "redis host")]),
        ("'mysql' => [\n  'host' => '127.0.0.1',\n],\n'mail' => [\n  'host' => '127.0.0.1',\n]\n",
         [(2, "127.0.0.1", "mysql host")]),
        ("<database>\n  <host>localhost</host>\n</database>\n", [(2, "localhost", "database host")]),
        ("user = mail\nhosts = 127.0.0.1\ndbname = mail\n", [(2, "127.0.0.1", "hosts")]),
        ("'web' => [\n 'database' => 'app',\n 'host' => 'localhost',\n]\n", [(3, "localhost", "host")]),
        ("[mysqld]\nsocket = /run/mysqld/mysqld.sock\nbind-address = 127.0.0.1\n", []),
        ("[web]\nhost = localhost\n[other]\ndbname = app\n", []),
    ],
)  # fmt: skip  # a text and what is found in it
def test_sections_and_blocks_name_what_stands_in_them(text: str, expected: list[tuple[int, str, str]]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize("line", [line for line, _ in LOCAL if any(word in line for word in ("s3cret", "hunter2"))])
def test_no_secret_of_a_line_is_shown(line: str) -> None:
    [found] = local_addresses([line])
    assert not any(secret in part for secret in ("s3cret", "hunter2") for part in map(str, found))


def test_a_file_has_a_bounded_number_of_findings() -> None:
    assert len(list(local_addresses(["db_host = localhost"] * 1000))) == FOUND_MOST
    assert list(local_addresses(["x" * 5000 + " mysql://localhost/"])) == []


@pytest.mark.parametrize(
    "line",
    ["/mysql" * 682, "/mysql.sock " * 340, "a=" * 2000, "jdbc:" * 800, "'" * 4096, " " * 4095 + "x", "server=" * 500,
     "mysql://" * 500, "a.b." * 1000 + "=127.", "[" * 4096, "mysql+a+a+a" * 300, "\\:" * 2000, "x " * 2048,
     "(local" * 600],
)  # fmt: skip  # lines that make careless patterns slow
def test_no_line_takes_long(line: str) -> None:
    began = time.process_time()
    for _ in range(10):
        list(local_addresses([line]))
    assert time.process_time() - began < 1.0


def test_an_address_is_a_value() -> None:
    assert list(local_addresses(["db_host = localhost"])) == [LocalAddress(1, "localhost", "db_host")]
