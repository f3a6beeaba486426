//! `ringfence`, the command line, as a program that is run.

use std::process::{Output, Stdio};

use ringfence_cluster::certs;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{World, binaries, raw::text, wait::within};

/// What a program prints, line by line.
pub type Printed = Lines<BufReader<ChildStdout>>;

/// The command line for one cluster.
#[derive(Debug)]
pub struct Cli {
    endpoints: String,
    environment: Vec<(&'static str, String)>,
}

impl Cli {
    /// For all nodes of a cluster, with its client's certificate if it has TLS.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let mut environment = Vec::new();
        if world.has_tls() {
            let own = certs::of_name(&world.certs(), "client");
            let files = [world.certs().join("ca.pem"), own.cert, own.key];
            let names = ["RINGFENCE_CACERT", "RINGFENCE_CERT", "RINGFENCE_CERT_KEY"];
            environment.extend(names.into_iter().zip(files).map(|(name, path)| (name, path.display().to_string())));
        }
        Self { endpoints: world.endpoints().join(","), environment }
    }

    /// The same with these endpoints, and without TLS.
    #[must_use]
    pub fn plain(endpoints: &str) -> Self {
        Self { endpoints: endpoints.to_owned(), environment: Vec::new() }
    }

    /// A command, not started yet.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::cli());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("RINGFENCE") {
                command.env_remove(name);
            }
        }
        command.env("RINGFENCE_ENDPOINTS", &self.endpoints).envs(self.environment.iter().cloned());
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it doesn't end by itself.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        within("the command line to end", self.command(arguments).output()).await.unwrap()
    }

    /// What a successful command prints.
    ///
    /// # Panics
    /// If it fails.
    pub async fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    /// The objects that a successful command prints with `--json`.
    ///
    /// # Panics
    /// If it fails, or prints anything else.
    pub async fn objects(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.text(&[&["--json"], arguments].concat()).await;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The one object.
    ///
    /// # Panics
    /// If it fails, or prints none or several.
    pub async fn object(&self, arguments: &[&str]) -> Value {
        let mut objects = self.objects(arguments).await;
        assert_eq!(objects.len(), 1, "{arguments:?}: {objects:?}");
        objects.remove(0)
    }

    /// Checks the exit code of a command that fails, and gives its reason.
    ///
    /// # Panics
    /// If it ends with another one.
    pub async fn fails(&self, code: i32, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        text(&output.stderr).lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null)
    }

    /// Starts a command that runs on, and reads its objects.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn start(&self, arguments: &[&str]) -> (Child, Printed) {
        let mut child = self.command(&[&["--json"], arguments].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }
}

/// The next object that a program prints.
///
/// # Panics
/// If it prints none.
pub async fn next(lines: &mut Printed) -> Value {
    let line = within("a line", lines.next_line()).await.unwrap().expect("a further line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
}
