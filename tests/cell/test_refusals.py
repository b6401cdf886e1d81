"""Hosts on which no cell can be made: nothing is done on them, and the operator is told what is wrong."""
import os
import socket

from bare import PIN, text


def refused(pair, *words):
    done = pair.provision(check=False)
    assert done.returncode == 8, done.stdout + done.stderr
    for word in words:
        assert word in done.stdout, done.stdout
    assert not os.path.exists(pair.eu1.data) and not os.path.exists(f"{pair.eu1.data}.domicile-new")
    return done


def test_a_host_key_that_changed(bare):
    other = bare.eu2.pin[:-6] + ("AAAAAA" if bare.eu2.pin[-6:] != "AAAAAA" else "BBBBBB")
    with open(f"{bare.config}/regions/eu-fr.cfg", encoding="utf-8") as file:
        region = file.read()
    with open(f"{bare.config}/regions/eu-fr.cfg", "w", encoding="utf-8") as file:
        file.write(region.replace(bare.eu2.pin, other))
    assert PIN.search(region)
    done = refused(bare, "Connect to the hosts over SSH")
    assert done.stdout.split("walking back")[0].count("SHA256:") >= 2, done.stdout
    assert not os.path.exists(bare.eu1.tls)
    bare.declare()


def test_another_version(bare):
    bare.eu2.bin = f"{bare.eu2.home}/pg14"
    bare.eu2.script("postgres", 'echo "postgres (PostgreSQL) 14.9 (Debian)"', "pg14")
    bare.declare()
    refused(bare, "eu2: PostgreSQL 14.9; 15 is needed")
    bare.eu2.bin = f"{bare.eu2.home}/nothing"
    bare.declare()
    refused(bare, "eu2: PostgreSQL is missing: ")
    bare.eu2.bin = bare.eu1.bin
    bare.declare()


def test_a_port_that_a_stranger_has(bare):
    own = bare.eu2.port
    for address, taken in ((bare.eu2.address, True), ("0.0.0.0", True), (bare.eu1.address, False)):
        with socket.create_server((address, 0)) as stranger:  # its port is the node's: nobody else can have it
            bare.eu2.port = stranger.getsockname()[1]
            bare.declare()
            if taken:
                refused(bare, f"eu2: port {bare.eu2.port} is used by another program")
            else:
                assert bare.planned()["ports"][0] == "yes"
    bare.eu2.port = own
    bare.declare()


def test_a_disk_that_is_too_small(bare):
    bare.declare(fit="{ free_mib = 2147483647; }")
    refused(bare, "2147483647 MiB are needed")
    bare.declare()


def test_a_clock_that_is_off(bare):
    script = bare.eu2.script("date", 'exec /usr/bin/date -d "5 seconds ago" "$@"')
    refused(bare, "eu2: its clock differs by -", "set it by NTP")
    bare.declare(fit="{ free_mib = 10; clock_offset_ms = 20000; }")
    assert bare.planned()["clocks"][0] == "yes"
    os.unlink(script)
    bare.declare()


def test_a_locale_that_is_not_there(bare):
    script = bare.eu1.script("locale", "echo POSIX")
    refused(bare, "eu1: locale C.UTF-8 is missing")
    os.unlink(script)


def test_a_cell_that_cannot_be_provisioned(bare):
    bare.declare(clients="[ ]")
    assert "has no clients" in bare.provision(check=False).stderr
    bare.declare()


def test_a_data_directory_with_something_in_it(bare):
    bare.eu1.run("mkdir", "-p", bare.eu1.data)
    bare.eu1.run("touch", f"{bare.eu1.data}/precious")
    done = bare.provision(check=False)
    assert done.returncode == 8 and "is not empty, and is not this cell's data directory" in done.stdout, done.stdout
    assert os.path.exists(f"{bare.eu1.data}/precious")
    os.unlink(f"{bare.eu1.data}/precious")


def test_a_standby_of_another_cluster(bare):
    bare.eu2.run(f"{bare.eu1.bin}/initdb", "-D", bare.eu2.data, "--no-sync", "-A", "reject", "-k")
    bare.eu2.run("touch", f"{bare.eu2.data}/standby.signal")
    done = bare.provision(check=False)
    assert done.returncode == 8 and "is not empty, and is not this cell's data directory" in done.stdout, done.stdout
    assert os.path.exists(f"{bare.eu2.data}/PG_VERSION")
    os.unlink(f"{bare.eu2.data}/standby.signal")
    assert bare.planned()["declared"] == ("no", "eu2: it is a primary, but declared as a standby; it would "
                                          "need a new base backup")
    bare.eu2.run("rm", "-rf", bare.eu2.data)
    bare.provision()


def test_a_cell_that_has_failed_over(bare):
    bare.eu1.stop()
    bare.eu2.run(f"{bare.eu1.bin}/pg_ctl", "promote", "-w", "-D", bare.eu2.data)
    before = text(f"{bare.eu2.data}/domicile.conf")
    done = bare.provision(check=False)
    assert done.returncode == 8 and "eu2: it is a primary, but declared as a standby" in done.stdout, done.stdout
    assert text(f"{bare.eu2.data}/domicile.conf") == before and bare.eu1.pid() is None
