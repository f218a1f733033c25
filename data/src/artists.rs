//! One artist, many spellings: which clips must stay on one side of a split.

use std::collections::BTreeMap;

/// Names that no rule unifies, as keys: the right one is how GTZAN's index has it.
const ALIASES: &[(&str, &str)] = &[
    ("bach", "jsbach"),
    ("johannsebastianbach", "jsbach"),
    ("ludwigvanbeethoven", "beethoven"),
    ("lvanbeethoven", "beethoven"),
    ("debussy", "claudedebussy"),
    ("haydn", "franzjosephhaydn"),
    ("josephhaydn", "franzjosephhaydn"),
    ("wolfgangamadeusmozart", "mozart"),
    ("wamozart", "mozart"),
    ("ravel", "mauriceravel"),
    ("satie", "eriksatie"),
    ("schubert", "franzschubert"),
    ("petertchaikovsky", "tchaikovsky"),
    ("peterilyichtchaikovsky", "tchaikovsky"),
    ("pyotrilyichtchaikovsky", "tchaikovsky"),
    ("giuseppeverdi", "verdi"),
    ("antoniovivaldi", "vivaldi"),
    ("bobmarleywailers", "bobmarley"),
    ("snoopdoggydogg", "snoopdogg"),
    ("tupac", "2pac"),
    ("tupacshakur", "2pac"),
];

/// Words that spellings of one name have and lack.
const SMALL_WORDS: [&str; 4] = ["and", "n", "the", "y"];
/// Words after a comma that belong to a name instead of turning it round.
const SUFFIXES: [&str; 8] = ["co", "ii", "iii", "inc", "jr", "ltd", "llc", "sr"];
/// Words that lead to a guest.
const GUEST: [&str; 8] = ["feat", "featuring", "ft", "presents", "pres", "versus", "vs", "with"];

/// What stands for an artist where there is none, as keys: clips of these do not belong together.
const NO_ARTIST: [&str; 7] = ["artist", "noartist", "unknown", "unknownartist", "va", "various", "variousartists"];

/// What is known of the track of a clip, for [`artist_groups`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TrackMetadata<'a> {
    /// The clip; names the group where nothing else is known.
    pub clip_id: &'a str,
    /// As some index spells it.
    pub artist: Option<&'a str>,
    /// The album; unites clips of an unknown artist.
    pub album: Option<&'a str>,
    /// Title of the track; unites clips of an unknown artist.
    pub title: Option<&'a str>,
    /// Digest of the recording; equal ones are one recording.
    pub recording: Option<&'a str>,
    /// An earlier clip, by its index, that is the same recording by its sound.
    pub repeats: Option<usize>,
}

/// The key that spellings of one artist share: letters and digits only, in lower case, without accents, guests, `The`
/// and `and`; `Last, First` turned round; known aliases resolved. Empty for a name without a letter or digit.
///
/// `Earth Wind and Fire` = `Earth, Wind & Fire`; `Hooker, John Lee` = `John Lee Hooker`; `AC/DC` = `AC-DC`.
#[must_use]
pub fn artist_key(name: &str) -> String {
    words(name).concat()
}

/// A group for each clip: equal for two clips when they may share an artist or a recording, so that a split by groups
/// keeps them on one side.
///
/// United are spellings of one name (see [`artist_key`]); names that differ by one letter within a long word; artists
/// who appear together (`Lauryn Hill and Bob Marley` with both); clips of an unknown artist with others of the same
/// title, or of the same album; and equal recordings. `Various Artists` and the like are no artist. A clip of which nothing is known is a
/// group of its own.
///
/// The group is named after its first artist by key, else `title:…` or `clip:…`.
#[must_use]
pub fn artist_groups(tracks: &[TrackMetadata<'_>]) -> Vec<String> {
    // Nodes: names first, so that the least index of a component is its first name.
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut recordings: BTreeMap<&str, usize> = BTreeMap::new();
    let words_of = |name: &str| Some(words(name)).filter(|words| !NO_ARTIST.contains(&words.concat().as_str()));
    let clip_words: Vec<Vec<String>> = tracks.iter().map(|c| c.artist.and_then(words_of).unwrap_or_default()).collect();
    for words in clip_words.iter().filter(|words| !words.is_empty()) {
        names.insert(words.concat(), words.clone());
    }
    let index_of: BTreeMap<&str, usize> = names.keys().enumerate().map(|(i, key)| (key.as_str(), i)).collect();
    let mut sets = DisjointSets::new(names.len() + tracks.len());
    let clip_node = |clip: usize| names.len() + clip;

    unite_misspellings(&names, &mut sets);
    for (clip, track) in tracks.iter().enumerate() {
        let node = clip_node(clip);
        if let Some(&name) = index_of.get(clip_words[clip].concat().as_str()) {
            sets.unite(name, node);
            for other in track.artist.into_iter().flat_map(collaborators) {
                if let Some(&other) = index_of.get(other.as_str()) {
                    sets.unite(name, other);
                }
            }
        }
        if let Some(recording) = track.recording {
            let first = *recordings.entry(recording).or_insert(node);
            sets.unite(first, node);
        }
        if let Some(earlier) = track.repeats.filter(|&earlier| earlier < clip) {
            sets.unite(clip_node(earlier), node);
        }
    }
    let mut albums: BTreeMap<String, usize> = BTreeMap::new();
    for (clip, track) in tracks.iter().enumerate().filter(|(clip, _)| clip_words[*clip].is_empty()) {
        if let Some(album) = track.album.and_then(title_key) {
            let first = *albums.entry(album).or_insert(clip_node(clip));
            sets.unite(first, clip_node(clip));
        }
    }
    // Titles unite unknown artists with each other, and with one who is known to have made the track: two known artists
    // of one title stay apart.
    let title_keys: Vec<Option<String>> = tracks.iter().map(|c| c.title.and_then(title_key)).collect();
    let mut known_titles: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unknown_titles: BTreeMap<&str, usize> = BTreeMap::new();
    for (clip, title) in title_keys.iter().enumerate() {
        let Some(title) = title else { continue };
        if clip_words[clip].is_empty() {
            let first = *unknown_titles.entry(title).or_insert(clip_node(clip));
            sets.unite(first, clip_node(clip));
        } else {
            known_titles.entry(title).or_insert(clip_node(clip));
        }
    }
    for (title, &unknown) in &unknown_titles {
        if let Some(&known) = known_titles.get(title) {
            sets.unite(known, unknown);
        }
    }

    let name_of: Vec<&String> = names.keys().collect();
    (0..tracks.len())
        .map(|clip| {
            let root = sets.find(clip_node(clip));
            match name_of.get(root) {
                Some(name) => (*name).clone(),
                None => match &title_keys[root - names.len()] {
                    Some(title) => format!("title:{title}"),
                    None => format!("clip:{}", tracks[root - names.len()].clip_id),
                },
            }
        })
        .collect()
}

/// The words of an artist's key, in order.
fn words(name: &str) -> Vec<String> {
    let folded = fold(name);
    let main = guests_cut(&folded).first().cloned().unwrap_or_default();
    let main = match main.split_once(',') {
        Some((last, first)) if is_first_name(first) => format!("{first} {last}"),
        _ => main,
    };
    let all: Vec<String> = split_words(&main);
    let words: Vec<String> = all.iter().filter(|w| !SMALL_WORDS.contains(&w.as_str())).cloned().collect();
    let words = if words.is_empty() { all } else { words };
    match ALIASES.iter().find(|(alias, _)| *alias == words.concat()) {
        Some((_, key)) => vec![(*key).to_owned()],
        None => words,
    }
}

/// Whether what stands after the only comma of a name is a first name: one to three words, no list, no `Inc.`.
fn is_first_name(after_comma: &str) -> bool {
    let words = split_words(after_comma);
    !after_comma.contains([',', '&'])
        && (1..=3).contains(&words.len())
        && !words.iter().any(|w| w == "and" || SUFFIXES.contains(&w.as_str()))
}

/// A folded name cut at `feat.` and the like; the first part is the main artist.
fn guests_cut(folded: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in folded.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_first = parts.len() == 1 && parts[0].is_empty();
        if GUEST.contains(&bare) && !is_first {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(' ');
            part.push_str(word);
        }
    }
    parts
}

/// Keys of the parts of a name that may each be an artist: of `A, B & C feat. D` all four.
fn collaborators(name: &str) -> Vec<String> {
    let folded = fold(name);
    guests_cut(&folded)
        .iter()
        .flat_map(|part| part.split([',', '&', ';', '+']))
        .flat_map(|part| part.split(" and "))
        .flat_map(|part| part.split(" x "))
        .map(|part| words(part).concat())
        .filter(|key| !key.is_empty())
        .collect()
}

/// Words of letters and digits; marks inside a word (`AC/DC`, `R.E.M.`, `Run-DMC`) join it.
fn split_words(folded: &str) -> Vec<String> {
    folded
        .replace('&', " and ")
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '[' | ']' | '"'))
        .map(|word| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The key of a title; `None` for one that says too little to unite by.
fn title_key(title: &str) -> Option<String> {
    let key = split_words(&fold(title)).concat();
    let says_little = key.chars().count() < 5
        || ["track", "unknown", "untitled"].iter().any(|word| key.starts_with(word))
        || key.chars().all(|c| c.is_numeric());
    (!says_little).then_some(key)
}

/// Lower case without accents, for Latin scripts; others only in lower case.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'à'..='å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
            'æ' => folded.push_str("ae"),
            'ç' | 'ć' | 'č' => folded.push('c'),
            'ð' | 'ď' | 'đ' => folded.push('d'),
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => folded.push('e'),
            'ğ' => folded.push('g'),
            'ì'..='ï' | 'ī' | 'į' | 'ı' => folded.push('i'),
            'ł' => folded.push('l'),
            'ñ' | 'ń' | 'ň' => folded.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => folded.push('o'),
            'œ' => folded.push_str("oe"),
            'ř' => folded.push('r'),
            'ß' => folded.push_str("ss"),
            'ś' | 'ş' | 'š' => folded.push('s'),
            'ť' | 'ţ' => folded.push('t'),
            'þ' => folded.push_str("th"),
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ź' | 'ż' | 'ž' => folded.push('z'),
            // Combining accents: the letter has been pushed already.
            '\u{300}'..='\u{36f}' => {}
            c => folded.push(c),
        }
    }
    folded
}

/// Unites names that differ by one letter (added, dropped, changed, or moved) in one word of six letters or more, past
/// its first letter. Digits are never a misspelling: `Artist 1` is not `Artist 2`.
fn unite_misspellings(names: &BTreeMap<String, Vec<String>>, sets: &mut DisjointSets) {
    // Two words one edit apart share a form with one letter less (the symmetric-delete index of SymSpell).
    let mut forms: BTreeMap<String, usize> = BTreeMap::new();
    for (name, words) in names.values().enumerate() {
        for (position, word) in words.iter().enumerate() {
            let letters: Vec<char> = word.chars().collect();
            if letters.len() < 6 || letters.iter().any(|c| c.is_numeric()) {
                continue;
            }
            let mut with = |form: String| {
                let mut other = words.clone();
                other[position] = format!("{form}*");
                let first = *forms.entry(other.join(" ")).or_insert(name);
                sets.unite(first, name);
            };
            with(word.clone());
            for dropped in 1..letters.len() {
                with(letters.iter().enumerate().filter(|(i, _)| *i != dropped).map(|(_, c)| c).collect());
            }
        }
    }
}

/// Disjoint sets whose root is their least member.
struct DisjointSets(Vec<usize>);

impl DisjointSets {
    fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    fn find(&mut self, mut node: usize) -> usize {
        while self.0[node] != node {
            self.0[node] = self.0[self.0[node]];
            node = self.0[node];
        }
        node
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn groups(artists: &[&str]) -> Vec<String> {
        let ids: Vec<String> = (0..artists.len()).map(|i| i.to_string()).collect();
        let tracks: Vec<TrackMetadata<'_>> = artists
            .iter()
            .zip(&ids)
            .map(|(artist, clip_id)| TrackMetadata { clip_id, artist: Some(artist), ..TrackMetadata::default() })
            .collect();
        artist_groups(&tracks)
    }

    #[test]
    fn spellings_share_a_key() {
        for spellings in [
            &["Earth Wind and Fire", "Earth, Wind & Fire", "EARTH, WIND AND FIRE"][..],
            &["John Lee Hooker", "Hooker, John Lee"],
            &["AC/DC", "AC-DC", "ac dc"],
            &["The Beatles", "Beatles, The", "beatles"],
            &["Guns N' Roses", "Guns and Roses", "Guns ’n’ Roses"],
            &["Motörhead", "Motorhead", "Moto\u{308}rhead"],
            &["J.S. Bach", "JS Bach", "Johann Sebastian Bach", "Bach, Johann Sebastian"],
            &["Dr. Dre", "Dr Dre", "Dr. Dre feat. Snoop Dogg", "Dr Dre ft. Eminem"],
            &["Rage Against The Machine", "Rage Against the Machine"],
            &["Lipps, Inc.", "Lipps Inc"],
        ] {
            let keys: Vec<String> = spellings.iter().map(|s| artist_key(s)).collect();
            assert!(keys.iter().all(|key| key == &keys[0]), "{spellings:?} → {keys:?}");
        }
    }

    #[test]
    fn other_artists_stay_apart() {
        let names = [
            "Johnny Cash",
            "Johnny Crass",
            "Prince",
            "Prince Buster",
            "Janet Jackson",
            "Latoya Jackson",
            "James Carter",
            "Joe Henderson",
            "Artist number 1",
            "Artist number 2",
            "Synthetic blues A",
            "Synthetic blues B",
            "The The",
        ];
        let found = groups(&names);
        let distinct: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{found:?}");
    }

    #[test]
    fn misspellings_and_collaborations_are_united() {
        let found = groups(&[
            "Dark Tranquillity",
            "Dark Tranquility",
            "Lauryn Hill",
            "Bob Marley",
            "Lauryn Hill and Bob Marley",
            "Pras",
        ]);
        assert_eq!(found[0], found[1]);
        assert!(found[2] == found[3] && found[3] == found[4]);
        assert_ne!(found[2], found[5]);
    }

    #[test]
    fn unknown_artists_group_by_title_or_stand_alone() {
        let track = |clip_id, artist, title| TrackMetadata { clip_id, artist, title, ..TrackMetadata::default() };
        let found = artist_groups(&[
            track("a", None, Some("I'll Be Watching You")),
            track("b", None, Some("Ill be watching you!")),
            track("c", None, None),
            track("d", None, None),
            track("e", None, Some("Track 01")),
            track("f", None, Some("Track 01")),
            track("g", Some("Jimmie Skinner"), Some("I Found My Girl In The USA")),
            track("h", None, Some("I found my girl in the USA")),
            track("i", Some("Metallica"), Some("So What, Then")),
            track("j", Some("Miles Davis"), Some("So What, Then")),
        ]);
        assert_eq!(found[0], found[1]);
        assert_eq!((found[2].as_str(), found[3].as_str()), ("clip:c", "clip:d"));
        assert_ne!(found[4], found[5]);
        assert_eq!((found[6].as_str(), found[7].as_str()), ("jimmieskinner", "jimmieskinner"));
        assert_ne!(found[8], found[9], "a cover is another recording");
    }

    #[test]
    fn equal_recordings_are_united_whoever_made_them() {
        let track =
            |clip_id, artist| TrackMetadata { clip_id, artist, recording: Some("md5"), ..TrackMetadata::default() };
        let found = artist_groups(&[track("a", Some("Queen")), track("b", None), track("c", Some("Abba"))]);
        assert_eq!(found, ["abba", "abba", "abba"]);
    }

    proptest! {
        #[test]
        fn no_name_panics_and_a_key_is_its_own_key(name in "\\PC{0,24}", other in "[A-Za-z,& .']{0,24}") {
            for name in [name, other] {
                let key = artist_key(&name);
                prop_assert!(key.chars().all(char::is_alphanumeric));
                prop_assert_eq!(groups(&[&name, &name]).iter().collect::<std::collections::BTreeSet<_>>().len(), if key.is_empty() { 2 } else { 1 });
            }
        }
    }
}
