//! Names that come from a store, or from a request, are used as paths only in the one form that `models` writes.

use models::artifact::names;

/// A version.
pub(super) fn is_version(name: &str) -> bool {
    names::check_version(name).is_ok()
}

/// A kind of model.
pub(super) fn is_model(name: &str) -> bool {
    names::check_model(name).is_ok()
}

/// A file of an artifact beside its manifest.
pub(super) fn is_file(name: &str) -> bool {
    names::check_file(name).is_ok()
}

/// What a name is quoted as in a message, whatever it holds and however long it is.
pub(super) fn quoted(name: &str) -> String {
    const SHOWN: usize = 64;
    let shown: String = name.chars().take(SHOWN).collect();
    let rest = if shown.len() < name.len() { "…" } else { "" };
    format!("`{}{rest}`", shown.escape_debug())
}

/// Of a name that is no version.
pub(super) fn no_version(name: &str) -> String {
    format!("{} is no version, which is 12 hexadecimal digits in lower case", quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_its_folder() {
        assert!(is_version("0123456789ab") && is_model("vgg19") && is_file("weights.safetensors"));
        for bad in ["", ".", "..", "../x", "/x", "a/b", "a\\b", ".x", "a\0b", "é", "Artifact.JSON", "0123456789AB"] {
            assert!(!is_version(bad) && !is_model(bad), "{bad:?}");
            assert!(!is_file(bad) || bad == "0123456789AB", "{bad:?}");
        }
        assert!(!is_file(&"x".repeat(65)) && !is_model(&"x".repeat(33)));
    }

    #[test]
    fn a_long_name_is_shown_in_part() {
        assert_eq!(quoted("a\nb"), r"`a\nb`");
        assert!(quoted(&"x".repeat(1000)).len() < 100);
    }
}
