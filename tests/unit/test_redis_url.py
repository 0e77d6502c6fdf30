"""How ``REDIS_URL`` is read and shown."""

import re

import pytest

from k8gentai.workers.connection import connect, connect_blocking
from k8gentai.workers.redis_url import masked, read_url


def test_one_server_is_read_as_redis_py_reads_it():
    read = read_url("rediss://ada:s%40fe@h:7000/3?ssl_ca_certs=/ca.pem&ssl_check_hostname=false")
    assert read.scheme == "rediss"
    assert read.options == {
        "username": "ada",
        "password": "s@fe",
        "host": "h",
        "port": 7000,
        "db": 3,
        "ssl_ca_certs": "/ca.pem",
        "ssl_check_hostname": False,
    }


@pytest.mark.parametrize("url", ["redis://h/%31", "redis+sentinel://h/turns/%31"])
def test_the_number_of_a_database_may_be_quoted(url):
    assert read_url(url).options["db"] == 1


def test_sentinels_are_named_with_the_service_and_the_database():
    read = read_url(
        "rediss+sentinel://ada:secret@one:26380,two,[::1]:26381/turns/2"
        "?sentinel_password=other&ssl_ca_certs=/ca.pem&max_connections=9&sentinel_socket_timeout=3"
    )
    assert read.sentinels == (("one", 26380), ("two", 26379), ("::1", 26381))
    assert read.service == "turns"
    assert read.options == {
        "username": "ada",
        "password": "secret",
        "db": 2,
        "ssl_ca_certs": "/ca.pem",
        "max_connections": 9,
    }
    assert read.sentinel_options == {"password": "other", "ssl_ca_certs": "/ca.pem", "socket_timeout": 3.0}


@pytest.mark.parametrize("of", [connect, connect_blocking])
@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://h?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis+sentinel://h/turns",
        "rediss+sentinel://h:1/turns/0",
        "redis://h?timeout=5",
        "redis+sentinel://h/turns?timeout=5",
        "redis://h/0?max_connections=7&protocol=3&client_name=a&socket_keepalive=no&health_check_interval=0",
        "redis+sentinel://h/turns?sentinel_max_connections=7&socket_read_size=65536&health_check_interval=9",
    ],
)
def test_each_kind_of_url_makes_a_client(of, url):
    assert of(url).connection_pool.make_connection()


@pytest.mark.parametrize(
    "url",
    ["http://h", "localhost:6379", "redis+sentinel://h", "redis+sentinel:///turns", "redis+sentinel://h/turns/x"],
)
def test_others_are_refused(url):
    with pytest.raises(ValueError, match="it must"):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://h/0?foo=bar", "redis:// has no option 'foo'"),
        ("redis://h?ssl_ca_certs=/ca.pem", "no option 'ssl_ca_certs'; those of TLS are for rediss://"),
        (
            "rediss://h?ssl_cert_reqs=sometimes",
            "not accepted: Invalid SSL Certificate Requirements Flag: sometimes",
        ),
        ("unix:///run/redis.sock?port=1", "no option 'port'"),
        ("redis+sentinel://h/turns?sentinel_foo=bar", "no option 'foo'"),
        ("redis+sentinel://h/turns?sentinel_timeout=5", "no option 'timeout'"),
        ("redis+sentinel://h/turns?sentinel_port=5", "no option 'port'"),
        ("rediss://h?ssl_validate_ocsp=true", "rediss:// has no option 'ssl_validate_ocsp'"),
        ("rediss://h?ssl_validate_ocsp_stapled=true", "no option 'ssl_validate_ocsp_stapled'"),
        ("rediss://h?ssl_ocsp_expected_cert=a", "no option 'ssl_ocsp_expected_cert'"),
        ("redis://h?command_packer=a", "no option 'command_packer'"),
        ("redis://h?encoder_class=a", "no option 'encoder_class'"),
        ("redis://h?retry=x", "no option 'retry'"),
        ("redis://h?retry_on_error=x", "no option 'retry_on_error'"),
        ("redis://h?socket_type=abc", "no option 'socket_type'"),
        ("redis://h?credential_provider=x", "no option 'credential_provider'"),
        ("redis://h?decode_responses=true", "no option 'decode_responses'"),
        ("redis://h?protocol=9", "not accepted: protocol must be either 2 or 3"),
        ("redis://h?port=seven", "not accepted: invalid literal"),
        ("redis://h?db=-1", "its option 'db' cannot be -1"),
        ("redis://h?max_connections=0", "its option 'max_connections' cannot be 0"),
        ("redis://h?socket_timeout=nan", "its option 'socket_timeout' cannot be nan"),
        ("redis://h/zero", "the database is a number, not 'zero'"),
        ("redis://h/\u00b2", "the database is a number, not '\u00b2'"),
        ("redis+sentinel://h/turns/\u00b2", "it must read"),
    ],
)
def test_options_that_no_connection_takes_are_refused(url, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("redis+sentinel://ada:secret@h:1,i:2/s/0", "redis+sentinel://ada:***@h:1,i:2/s/0"),
        ("redis+sentinel://h/s?sentinel_password=secret&db=1", "redis+sentinel://h/s?sentinel_password=***&db=1"),
    ],
)
def test_no_password_is_shown(url, shown):
    assert masked(url) == shown
