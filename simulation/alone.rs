//! Tests that compare worlds have a process of their own. Beside worlds that other tests ran on other threads, two tasks were
//! sometimes woken in the other order; what of the process reaches into a world is not known yet.

use std::process::Command;

/// Says so to the process that is started.
const ALONE: &str = "RINGFENCE_TEST_ALONE";

/// True in a process that runs this test alone. Elsewhere starts that process, waits for it, and gives false.
///
/// # Panics
/// If the test fails there.
pub(crate) fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let own = std::env::current_exe().expect("this program");
    let output = Command::new(own).args(["--exact", test]).env(ALONE, "1").output().expect("a process");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    false
}
