//! New shards: what somebody asks for, checked and made into what the archive keeps.
//!
//! Promise: the only place where the text of a new file becomes CRDT state, once, with ids drawn here.

use std::collections::{BTreeMap, BTreeSet};

use room::{lines, text};
use shared::{
    id::{FileId, FilePath, RoomId},
    limits,
};

use super::templates;
use crate::{
    archive::{FileWrite, NewShard},
    error::Refusal,
};

/// Longest title, in characters.
const TITLE_CHARS: usize = 200;

/// A shard as somebody asks for it. Nothing is checked yet.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Its id; made up if there is none.
    pub id: Option<String>,
    /// Its title; the template's if there is none.
    pub title: Option<String>,
    /// The template whose files it begins with.
    pub template: Option<String>,
    /// Path and text of each file; one of these replaces the template's file of the same path.
    pub files: Vec<(String, String)>,
}

/// Checks a draft and gives it ids, at `now` (µs).
pub fn draw_up(draft: Draft, now: u64) -> Result<NewShard, Refusal> {
    let id = match draft.id {
        Some(id) => RoomId::parse(&id).map_err(|error| Refusal::BadName { text: id, error })?,
        None => made_up_id()?,
    };
    let template = match draft.template {
        Some(name) => Some(templates::find(&name).ok_or(Refusal::NoTemplate(name))?),
        None => None,
    };
    let title = draft.title.as_deref().or(template.map(|template| template.title));
    let title = title_of(title.unwrap_or("Untitled"))?;
    let mut texts = checked(draft.files)?;
    for (path, text) in template.into_iter().flat_map(|template| template.files) {
        let path = FilePath::parse(path)
            .map_err(|error| Refusal::Failed(format!("template path {path}: {error}")))?;
        texts.entry(path).or_insert_with(|| (*text).to_owned());
    }
    refuse_conflicts(&texts)?;
    if texts.len() > limits::FILES {
        return Err(Refusal::Invalid(format!("a project holds at most {} files", limits::FILES)));
    }
    let files = texts.into_iter().map(|(path, text)| new_file(path, &text, now)).collect::<Result<_, _>>()?;
    Ok(NewShard { id, title, template: template.map(|template| template.id.to_owned()), files, now })
}

fn made_up_id() -> Result<RoomId, Refusal> {
    let letters = FileId::from_random(rand::random());
    let letters = letters.as_str().trim_start_matches("f_");
    RoomId::parse(letters).map_err(|error| Refusal::Failed(format!("making up an id: {error}")))
}

fn title_of(title: &str) -> Result<String, Refusal> {
    let title = title.trim();
    if title.is_empty() || title.chars().count() > TITLE_CHARS || title.chars().any(char::is_control) {
        return Err(Refusal::Invalid(format!("a title has 1 to {TITLE_CHARS} characters, none of control")));
    }
    Ok(title.to_owned())
}

fn checked(files: Vec<(String, String)>) -> Result<BTreeMap<FilePath, String>, Refusal> {
    let mut texts = BTreeMap::new();
    for (name, text) in files {
        let path = FilePath::parse(&name).map_err(|error| Refusal::BadName { text: name.clone(), error })?;
        if texts.insert(path, text).is_some() {
            return Err(Refusal::PathConflict(name.clone(), name));
        }
    }
    Ok(texts)
}

/// Two paths that differ in case only, or a file where another has a folder, cannot both be on a disk.
fn refuse_conflicts(texts: &BTreeMap<FilePath, String>) -> Result<(), Refusal> {
    let mut folded: BTreeMap<String, &FilePath> = BTreeMap::new();
    for path in texts.keys() {
        if let Some(twin) = folded.insert(path.as_str().to_lowercase(), path) {
            return Err(Refusal::PathConflict(twin.to_string(), path.to_string()));
        }
    }
    for (fold, path) in &folded {
        let folders: BTreeSet<&str> = fold.match_indices('/').map(|(at, _)| &fold[..at]).collect();
        if let Some(file) = folders.into_iter().find_map(|folder| folded.get(folder)) {
            return Err(Refusal::PathConflict(file.to_string(), path.to_string()));
        }
    }
    Ok(())
}

fn new_file(path: FilePath, outside: &str, now: u64) -> Result<FileWrite, Refusal> {
    let (text, eol) = lines::import(outside);
    let state = text::state_of(&text, rand::random());
    if state.len() > limits::FILE_BYTES {
        return Err(Refusal::FileTooLarge(path.to_string()));
    }
    let id = FileId::from_random(rand::random());
    let write_id = format!("{:032x}", rand::random::<u128>());
    Ok(FileWrite { id, path, text, state, ts: now, seq: 0, eol, making: None, write_id, now })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Eol;

    fn draft(files: &[(&str, &str)]) -> Draft {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Draft { files, ..Draft::default() }
    }

    fn code(draft: Draft) -> Option<&'static str> {
        draw_up(draft, 1).err().map(|refusal| refusal.code())
    }

    #[test]
    fn a_text_becomes_state_that_reads_the_same() {
        let shard = draw_up(draft(&[("a.js", "let a;\r\nlet b;\r\n")]), 7).unwrap();
        let file = &shard.files[0];
        assert_eq!((file.text.as_str(), file.eol, file.ts), ("let a;\nlet b;\n", Eol::Crlf, 7));
        assert_eq!(text::text_of(&file.state).unwrap(), file.text);
    }

    #[test]
    fn paths_that_cannot_be_together_on_a_disk_are_refused() {
        assert_eq!(code(draft(&[("a.js", ""), ("a.js", "")])), Some("path-conflict"));
        assert_eq!(code(draft(&[("A.js", ""), ("a.js", "")])), Some("path-conflict"));
        assert_eq!(code(draft(&[("src/\u{e9}", ""), ("src/E\u{301}", "")])), Some("path-conflict"));
        assert_eq!(code(draft(&[("src", ""), ("src/a.js", "")])), Some("path-conflict"));
        assert_eq!(code(draft(&[("../a.js", "")])), Some("invalid-path"));
        assert_eq!(code(draft(&[("a.js", ""), ("src/a.js", ""), ("src/b.js", "")])), None);
    }

    #[test]
    fn what_is_given_replaces_the_templates_file() {
        let asked = Draft { template: Some("react".into()), ..draft(&[("src/App.jsx", "mine")]) };
        let shard = draw_up(asked, 1).unwrap();
        assert_eq!((shard.title.as_str(), shard.template.as_deref()), ("React", Some("react")));
        let app: Vec<_> = shard.files.iter().filter(|file| file.path.as_str() == "src/App.jsx").collect();
        assert_eq!(app.iter().map(|file| file.text.as_str()).collect::<Vec<_>>(), ["mine"]);
        assert!(shard.files.len() > 8);
    }

    #[test]
    fn a_wrong_id_title_or_template_is_refused() {
        let with = |change: fn(&mut Draft)| {
            let mut draft = Draft::default();
            change(&mut draft);
            code(draft)
        };
        assert_eq!(with(|draft| draft.id = Some("a/b".into())), Some("invalid-id"));
        assert_eq!(with(|draft| draft.title = Some(" ".into())), Some("invalid"));
        assert_eq!(with(|draft| draft.template = Some("cobol".into())), Some("unknown-template"));
        let made_up = draw_up(Draft::default(), 1).unwrap();
        assert_eq!((made_up.id.as_str().len(), made_up.title.as_str()), (16, "Untitled"));
    }
}
