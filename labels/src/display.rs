//! Labels and other names as people read them: in the columns of a terminal, and within other text.
//!
//! ```
//! use labels::display;
//!
//! assert_eq!(display::width("演歌"), 4);
//! assert_eq!(display::cut("演歌 and more", 7), "演歌 a…");
//! assert_eq!(display::padded("演歌", 6), "演歌  ");
//! ```

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Stands for what was cut off; one column.
const ELLIPSIS: char = '…';
/// Begins a text whose direction is that of its first letter, apart from the text around it.
const ISOLATE: char = '\u{2068}';
/// Ends it.
const END_OF_ISOLATE: char = '\u{2069}';

/// Columns that a text takes on a terminal, as Unicode Standard Annex 11 and emoji sequences have it.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, or as much of its beginning as `columns` hold together with an ellipsis.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut taken = 1;
    for letter in text.chars() {
        taken += letter.width().unwrap_or(0);
        if taken > columns {
            break;
        }
        short.push(letter);
    }
    // A sequence may be wider than its characters.
    while width(&short) >= columns.max(1) && short.pop().is_some() {}
    if columns > 0 {
        short.push(ELLIPSIS);
    }
    short
}

/// The text, or as much of its end as `columns` hold together with an ellipsis.
#[must_use]
pub fn cut_start(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut start = text.len();
    let mut taken = 1;
    for (at, letter) in text.char_indices().rev() {
        taken += letter.width().unwrap_or(0);
        if taken > columns {
            break;
        }
        start = at;
    }
    let mut letters = text[start..].chars();
    while width(letters.as_str()) >= columns.max(1) && letters.next().is_some() {}
    let ellipsis = if columns > 0 { ELLIPSIS.to_string() } else { String::new() };
    ellipsis + letters.as_str()
}

/// The text with spaces behind it, so that it takes at least that many columns.
#[must_use]
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text as it may stand within other text without turning it about: without characters that embed or override a direction,
/// and isolated (UAX 9) if it has a letter that is written from right to left. A text without either is as it was.
#[must_use]
pub fn isolated(text: &str) -> String {
    let plain: String = text.chars().filter(|letter| !turns(*letter)).collect();
    if plain.chars().any(is_right_to_left) { format!("{ISOLATE}{plain}{END_OF_ISOLATE}") } else { plain }
}

/// As [`isolated`], for a terminal, which may have no isolates: only without what turns text about.
#[must_use]
pub fn unturned(text: &str) -> String {
    text.chars().filter(|letter| !turns(*letter)).collect()
}

/// Whether a character embeds, overrides or isolates a direction, or ends that.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character is in a block of scripts that are written from right to left.
fn is_right_to_left(letter: char) -> bool {
    matches!(
        letter,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1eeff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_cut_where_its_columns_end() {
        assert_eq!(cut("blues", 5), "blues");
        assert_eq!(cut("blues", 4), "blu…");
        assert_eq!(cut("演歌", 3), "演…");
        assert_eq!(cut("演歌", 2), "…");
        assert_eq!((cut("blues", 1).as_str(), cut("blues", 0).as_str()), ("…", ""));
        assert_eq!(cut_start("folder/song.wav", 9), "…song.wav");
        assert_eq!(cut_start("演歌", 3), "…歌");
        assert_eq!(padded("🎷", 4), "🎷  ");
        assert_eq!(padded("wide enough", 3), "wide enough");
    }

    #[test]
    fn a_text_does_not_turn_the_text_around_it() {
        assert_eq!(isolated("hip hop"), "hip hop");
        assert_eq!(isolated("מזרחית"), "\u{2068}מזרחית\u{2069}");
        assert_eq!(isolated("\u{202e}evil\u{2069}"), "evil");
        assert_eq!(unturned("a\u{202d}مقام"), "aمقام");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text in "\\PC{0,60}|[❤️👩‍👧 e\u{301}演\u{fe0f}\u{200d}]{0,40}", columns in 0usize..40) {
            for short in [cut(&text, columns), cut_start(&text, columns)] {
                prop_assert!(width(&short) <= columns, "{short:?} has {}", width(&short));
            }
            if width(&text) <= columns {
                prop_assert_eq!(cut(&text, columns), text.clone());
                prop_assert_eq!(width(&padded(&text, columns)), columns);
            }
        }
    }
}
