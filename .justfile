# Shortcuts; the line below each name is the plain command.

# Lists these commands.
default:
    @just --justfile {{justfile()}} --list

# Everything that must hold before a change is taken.
ci:
    .ci/run

# All tests: units, stories, real servers.
test:
    cargo test

# The tests with real servers alone; `just it events` for one module.
it module="":
    cargo test --test it {{module}}

# The long kill test: 20 times kill -9 of the leader under 16 senders, with the times.
kill-twenty kills="20":
    CHINWAG_KILLS={{kills}} cargo test --release --test it kill_twenty -- --nocapture

# Faults of every kind on real processes under load, and how long each fail-over took.
nemesis seconds="600":
    cargo test --release --test nemesis -- --seconds {{seconds}}

# A server is killed at every failpoint, in every role, with every disk afterwards.
sweep which="all":
    CHINWAG_SWEEP={{which}} cargo test --test it sweep -- --nocapture

# Random walks over the protocol's core, on all cores.
walker policy="available" walks="1000000":
    cargo test --release --test walker -- --policy {{policy}} --walks {{walks}}

# Whole servers on a simulated network, clock and disk, each run from one seed.
simulator seeds="1000":
    cargo test --release --test simulator -- --seeds {{seeds}}

# Acknowledged sends a second, beside the machine's own limits.
bench seconds="4":
    cargo bench --bench throughput -- --seconds {{seconds}}

# The API's reference, made anew of the protos' comments.
reference:
    CHINWAG_WRITE=1 cargo test --test it reference

# A Debian package in target/debian.
deb:
    config/debian/build

# Licences, double crates, sources, advisories.
deny:
    cargo deny --config .cargo/deny.toml check

# Formats and lints.
tidy:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# Three servers on this machine, a conversation, a kill, and you in the client.
demo:
    cargo run --release --bin server -- demo

# One of the configured servers: `just server 1`.
server id:
    cargo run --release --bin server -- --id {{id}} --config config/cluster.yaml

# The client: `just client`, or `just client send @bob hi`.
client *arguments:
    cargo run --release --bin client -- --config config/cluster.yaml {{arguments}}
