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


def test_sentinels_are_named_with_the_service_and_the_database():
    read = read_url(
        "rediss+sentinel://ada:secret@one:26380,two,[::1]:26381/turns/2"
        "?sentinel_password=other&ssl_ca_certs=/ca.pem&max_connections=9"
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
    assert read.sentinel_options == {"password": "other", "ssl_ca_certs": "/ca.pem"}


@pytest.mark.parametrize("of", [connect, connect_blocking])
@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "rediss://h?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "redis+sentinel://h/turns",
        "rediss+sentinel://h:1/turns/0",
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
        ("redis://h/0?foo=bar", "connections of redis:// have no option 'foo'"),
        ("redis://h?ssl_ca_certs=/ca.pem", "no option 'ssl_ca_certs'; those of TLS are for rediss://"),
        (
            "rediss://h?ssl_cert_reqs=sometimes",
            "not accepted: Invalid SSL Certificate Requirements Flag: sometimes",
        ),
        ("unix:///run/redis.sock?port=1", "no option 'port'"),
        ("redis+sentinel://h/turns?sentinel_foo=bar", "no option 'foo'"),
        ("redis://h/zero", "the database is a number, not 'zero'"),
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
