//! The README says how much the referee plays.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Tests run beside each other.
static WRITING: Mutex<()> = Mutex::new(());

/// Makes sure that the README has a figure, in bold between `<!-- key -->` and the end of the bold text;
/// with `UPDATE_README=1` puts it there.
pub(crate) fn says(key: &str, figure: &str) {
    let _guard = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).expect("there is a README");
    let marker = format!("<!-- referee {key} -->**");
    let (before, rest) = text.split_once(&marker).unwrap_or_else(|| panic!("README.md has no `{marker}`"));
    let (said, after) = rest.split_once("**").expect("what is bold ends");
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&path, format!("{before}{marker}{figure}**{after}")).expect("the README can be written");
    } else {
        assert_eq!(said, figure, "`UPDATE_README=1 cargo test --test referee` writes what is true now");
    }
}
