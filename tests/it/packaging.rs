//! What is shipped beside the programs fits them: example configurations, the unit, the containers, the package.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use chinwag::{
    cluster::{Policy, ServerId},
    config::Config,
};
use tempfile::TempDir;

/// Where the examples have their files on a real box.
const PLACES: [&str; 3] = ["/etc/chinwag", "/run/secrets", "/var/lib/chinwag"];

/// An example as somebody uses it who has made what it needs, in a folder instead of the places of a box.
struct Tried {
    folder: TempDir,
    config: PathBuf,
}

impl Tried {
    fn of(example: &str) -> Tried {
        let folder = tempfile::Builder::new().prefix("chinwag-box-").tempdir().expect("a folder");
        let config = folder.path().join("cluster.yaml");
        fs::write(&config, in_folder(&read(example), folder.path())).expect("writable");
        let tried = Tried { folder, config };
        for name in ["secret", "cluster-secret"] {
            fs::write(tried.folder.path().join(name), "sixteen-characters").expect("writable");
        }
        let out = tried.folder.path().display().to_string();
        succeeds(&tried.server(&["certs", "--out", &out]));
        tried
    }

    /// Runs the server program with the example.
    fn server(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args(arguments).arg("--config").arg(&self.config);
        command.env_remove("CHINWAG_CLUSTER_SECRET").output().expect("it starts")
    }

    fn load(&self) -> Config {
        Config::load(Some(&self.config)).expect("a good configuration")
    }
}

#[test]
fn every_example_configures_every_server_that_it_names() {
    let examples = [
        ("config/cluster.yaml", 3, Policy::Available),
        ("config/examples/lan.yaml", 3, Policy::Available),
        ("config/examples/majority.yaml", 5, Policy::Majority),
        ("config/examples/compose.yaml", 3, Policy::Available),
    ];
    let tried: BTreeSet<String> = examples.map(|(path, ..)| path.to_owned()).into();
    for path in files("config/examples") {
        assert!(tried.contains(&path), "{path} is not tried; add it to the list");
    }
    for (example, servers, policy) in examples {
        let tried = Tried::of(example);
        let config = tried.load();
        assert_eq!(config.servers.len(), servers, "{example}");
        assert_eq!(config.cluster.policy, policy, "{example}");
        let beyond = config.servers.values().any(|server| !server.address.is_loopback());
        assert_eq!(config.tls.is_on(), beyond, "{example}: what leaves the machine is encrypted");
        for ServerId(id) in config.servers.keys() {
            let checked = tried.server(&["--id", &id.to_string(), "--check-config"]);
            succeeds(&checked);
            let said = String::from_utf8_lossy(&checked.stdout);
            assert!(said.contains("the configuration is good"), "{example}: {said}");
            assert_eq!(said.contains(&format!("server-{id}.pem is valid")), beyond, "{said}");
        }
    }
}

#[test]
fn an_example_without_its_secret_or_certificates_starts_nothing() {
    for (lost, words) in
        [("secret", "secret"), ("server-1.key", "server-1.key"), ("ca.pem", "ca.pem")]
    {
        let tried = Tried::of("config/examples/lan.yaml");
        fs::remove_file(tried.folder.path().join(lost)).expect("it was made");
        let checked = tried.server(&["--id", "1", "--check-config"]);
        assert_eq!(checked.status.code(), Some(2), "without {lost}");
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(said.contains(words), "without {lost}: {said}");
    }
}

#[test]
fn the_unit_checks_and_starts_a_server_as_the_program_wants_it() {
    let unit = read("config/chinwag-server@.service");
    let value = |key: &str| {
        let found = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        found.unwrap_or_else(|| panic!("the unit has no {key}")).to_owned()
    };
    let (check, start) = (value("ExecStartPre"), value("ExecStart"));
    assert_eq!(check, format!("{start} --check-config"), "what is checked is what is started");
    let tried = Tried::of("config/examples/lan.yaml");
    let line = in_folder(&check, tried.folder.path()).replace("%i", "1");
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("/usr/bin/chinwag-server"), "as the package names it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    succeeds(&command.args(words).output().expect("it starts"));

    // The only folder that it may write is the one where the examples keep their data.
    assert_eq!(value("ProtectSystem"), "strict");
    let data = Path::new("/var/lib").join(value("StateDirectory"));
    for example in ["config/examples/lan.yaml", "config/examples/majority.yaml"] {
        assert!(read(example).contains(&format!("data_dir: {}\n", data.display())), "{example}");
    }
    assert_eq!(value("RestartPreventExitStatus"), "2", "a wrong configuration is not tried again");
}

#[test]
fn each_container_has_the_name_the_id_and_the_files_of_its_server() {
    let compose = read("config/compose.yaml");
    let config = Tried::of("config/examples/compose.yaml").load();
    let services = compose.split_once("\nservices:\n").expect("it has services").1;
    let services = services.split_once("\nsecrets:\n").expect("they end").0;
    let services: Vec<&str> = services.split("\n  chinwag-").collect();
    assert_eq!(services.len(), config.servers.len());
    for (service, (ServerId(id), server)) in services.iter().zip(&config.servers) {
        let address = server.address.to_string();
        let (host, port) = address.split_once(':').expect("a name and a port");
        let wanted = [
            format!("hostname: {host}"),
            format!("command: [\"--id\", \"{id}\"]"),
            format!(":{port}\"]"),
            format!("volumes: [\"data-{id}:/var/lib/chinwag\", "),
            "./examples/compose.yaml:/etc/chinwag/cluster.yaml:ro".to_owned(),
            format!("secrets: [cluster-secret, ca.pem, server-{id}.pem, server-{id}.key]"),
        ];
        for wanted in wanted {
            assert!(service.contains(&wanted), "server {id} lacks {wanted}:\n{service}");
        }
    }
}

#[test]
fn an_image_is_built_of_everything_that_cargo_asks_for() {
    let taken = read("config/Dockerfile.dockerignore");
    let taken: Vec<&str> = taken.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let folder = TempDir::new().expect("a folder");
    for name in &taken {
        assert!(root().join(name).exists(), "{name} is not there");
        let place = folder.path().join(name);
        fs::create_dir_all(place.parent().expect("a folder")).expect("writable");
        // Cargo looks at names; what is in the files is the build's matter.
        std::os::unix::fs::symlink(root().join(name), place).expect("writable");
    }
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder.path());
    succeeds(&command.output().expect("cargo starts"));
    for outside in ["config/cluster.yaml", "migrations", "proto"] {
        assert!(taken.contains(&outside), "{outside} is compiled in");
    }
    for secret in ["config", "config/secrets", "data", "certs"] {
        assert!(!taken.contains(&secret), "{secret} is nobody's business");
    }
}

#[test]
fn everything_that_the_package_holds_is_there() {
    let manifest = read("Cargo.toml");
    let (_, assets) = manifest.split_once("\nassets = [\n").expect("the package has assets");
    let (assets, _) = assets.split_once("\n]").expect("the list ends");
    let sources: Vec<&str> = assets.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert!(sources.len() >= 7, "{sources:?}");
    for source in sources {
        match source.split_once('*') {
            // The programs, and what `config/debian/build` makes of them.
            _ if source.starts_with("target/") => {}
            None => assert!(root().join(source).is_file(), "{source}"),
            Some((folder, end)) => {
                let mut found = files(folder.trim_end_matches('/')).into_iter();
                assert!(found.any(|file| file.ends_with(end)), "{source}");
            }
        }
    }
    for script in ["postinst", "prerm", "postrm"] {
        let path = root().join("config/debian").join(script);
        let checked = Command::new("sh").arg("-n").arg(&path).output().expect("there is a shell");
        succeeds(&checked);
    }
}

/// The text with the places of a box moved into a folder.
fn in_folder(text: &str, folder: &Path) -> String {
    let folder = folder.display().to_string();
    PLACES.iter().fold(text.to_owned(), |text, place| text.replace(place, &folder))
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("checked in")
}

/// The files of a folder, as paths below the crate.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names.map(|name| format!("{folder}/{}", name.to_string_lossy())).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
