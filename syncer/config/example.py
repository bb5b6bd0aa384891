"""The commented configuration that `syncer init` writes."""

from __future__ import annotations

from syncer.model import Mode

_TEXT = """\
# syncer on this node. `syncer config check` says every error of this file at once.
# Durations: "500us", "10ms", "30s", "1h30m". What is commented out shows the default, or an example.

[node]
name = {name}
mode = {mode}          # production | failover: what this node starts as
state = {state}
listen = {listen}      # where other nodes reach this one; port 0: any, shown in status
http = {http}        # health and metrics, without a password; "" turns it off, port 0: any
# rescan = "1h"                 # full scan of every domain, beside the changes seen at once
# peer_timeout = "30s"          # silence of production after which status is not green
# behind_after = "30s"          # lag that counts as behind
# stop_services_when_fenced = false  # another node was promoted: run `stop` of every domain here
# freeze_max = "1h"             # a `syncer freeze` ends by itself after this

# One table for each configuration tree, with the same name on production and on failover; the path is
# this node's own. syncer's configuration, keys and state are never synchronized, wherever they lie.
#
# [domains.nginx]
# path = "/etc/nginx"
# include = ["**"]              # gitignore syntax; parents of included files come along
# exclude = ["*.swp", "*~"]     # exclude wins; what becomes excluded is forgotten, not deleted
# settle = "10ms"               # a group of changes is sent when it has been quiet for so long
# settle_max = "500ms"          # and at the latest after this
# keep_local = []               # on failover: files that win over what arrives
# max_delete = "30%"            # more deletions than this (a count works too) wait for `syncer approve`,
# max_delete_min = 20           # unless they are fewer than this,
# max_delete_window = "10m"     # added up over this time, net of renames
# drift = "report"              # edits made on failover: report | restore | ignore
# verify = "7d"                 # re-read every byte on both sides, in the background; 0: never
# verify_rate = "20MiB"         # a second
# check = []                    # must succeed before a transaction counts, such as ["nginx", "-t"]
# reload = []                   # after a passed check, where services are meant to run
# start = []                    # once, where services are meant to run, such as ["systemctl", "start", "nginx"]
# stop = []
# status = []                   # 0: it runs, 3: it is stopped, such as ["systemctl", "is-active", "-q", "nginx"]
# freeze = []                   # for `syncer freeze`: changes nothing any more, such as ["systemctl", "stop", "nginx"]
# command_timeout = "30s"
# owners = {{}}                   # user and group names that differ on this node
# history = {{ generations = 20, size = "1GiB" }}

# One table for each failover server; used while this node is in mode production.
#
# [[failover]]
# name = "dr-a"
# address = "10.0.2.10:7443"
# automatic = true              # send every change at once; false: only when asked, with `syncer snapshot`
# timeout = "10s"               # silence after which the connection counts as dead
# domains = []                  # names of domains; empty: all
# start_services = false        # whether services are meant to run there while it is failover
# on_failure = {{ suspend_after = 5, retry = "1s..60s", probe = true }}
#
# Addresses and host names that become others in the files that this target receives; one table for each.
#
# [[failover.substitute]]
# from = "10.0.1.10"            # an address, a network ("10.1.0.0/16", host bits are kept) or a host name
# to = "10.0.2.10"              # of the same kind and size
# swap = false                  # true: exchange both
# domains = []                  # names of domains; empty: all
# except_domains = []
# paths = ["**"]                # gitignore syntax, from the root of the domain
# except_paths = []

# Commands around a promotion, a demotion and a fail-back, on this node; no shell.
# One that comes before, and fails, stops the procedure; one that comes after is told.
#
# [hooks]
# before_promote = []
# after_promote = []            # such as ["/usr/local/sbin/take-address"]
# before_demote = []
# after_demote = []
# before_failback = []          # such as ["/usr/local/sbin/back-up-database"]
# after_failback = []
# timeout = "60s"               # for each of them

# What is done when something happens (docs/events.md). Mail goes through one server:
#
# [smtp]
# host = "mail.example.com"
# port = 587                    # with tls = true: 465
# starttls = true
# tls = false                   # from the first byte, in place of starttls
# username = "syncer"
# password_file = "/etc/syncer/smtp.secret"   # mode 0600; its first line
# from = "syncer@example.com"
# timeout = "30s"               # for the whole mail
# ca_file = "/etc/ssl/certs/mail-ca.pem"      # trusted in place of the system's
#
# [variables]                   # for conditions and templates
# site = "north"
#
# [[triggers]]
# name = "sync failed"
# event = "sync"
# when = "!success"             # CEL over the event's variables; without: always
# throttle = "15m"              # at most one notice in this time, which says how many it stands for
# after = "0s"                  # only when the state lasts so long
# notify_recovery = true        # tell its end, too
# give_up = "24h"               # what could not be delivered until then is given up, with an event
# email = {{ to = ["ops@example.com"] }}        # subject, body, html: templates
# exec = ["/usr/local/bin/on-failure"]        # no shell; SYNCER_… in its environment
# exec_timeout = "30s"
# webhook = {{ url = "https://example.com/hook", secret_file = "/etc/syncer/hook.secret" }}
# notify = ["slack://…"]        # through Apprise: pip install "syncer-failover[notify]"
"""


def example(
    name: str,
    mode: Mode,
    *,
    state: str = "/var/lib/syncer",
    listen: str = "0.0.0.0:7443",
    http: str = "127.0.0.1:7480",
) -> str:
    """Return a configuration that loads as it is, for a node of this name, mode, state and addresses."""
    return _TEXT.format(
        name=_quoted(name), mode=_quoted(mode.value), state=_quoted(state), listen=_quoted(listen), http=_quoted(http)
    )


def _quoted(text: str) -> str:
    """Return `text` as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
