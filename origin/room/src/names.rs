//! The room's files by id and by path, and which paths differ in case only.

use std::collections::BTreeMap;

use shared::{
    id::{FileId, FileName, FilePath},
    wire::event::{self, FileOp},
};

/// The names of the files.
#[derive(Debug, Default)]
pub(crate) struct Names {
    paths: BTreeMap<FilePath, FileId>,
    files: BTreeMap<FileId, FilePath>,
    /// How many paths are the same in lower case.
    lower: BTreeMap<String, usize>,
}

impl Names {
    /// Gives a path to a file.
    pub(crate) fn add(&mut self, file: FileId, path: FilePath) {
        if self.paths.insert(path.clone(), file.clone()).is_none() {
            *self.lower.entry(lower(&path)).or_default() += 1;
        }
        self.files.insert(file, path);
    }

    /// Forgets a file and its path.
    pub(crate) fn remove(&mut self, file: &FileId) {
        let Some(path) = self.files.remove(file) else { return };
        if self.paths.get(&path) != Some(file) {
            return;
        }
        self.paths.remove(&path);
        let key = lower(&path);
        if let Some(count) = self.lower.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.lower.remove(&key);
            }
        }
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, file: &FileId) -> bool {
        self.files.contains_key(file)
    }

    /// The path of a file.
    pub(crate) fn path_of(&self, file: &FileId) -> Option<&FilePath> {
        self.files.get(file)
    }

    /// The file at a path.
    pub(crate) fn file_at(&self, path: &FilePath) -> Option<&FileId> {
        self.paths.get(path)
    }

    /// Whether a path is there that is this one but for the case of letters.
    pub(crate) fn has_twin(&self, path: &FilePath) -> bool {
        self.lower.contains_key(&lower(path))
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// The file that a name stands for.
    pub(crate) fn find(&self, name: &FileName) -> Option<FileId> {
        let by_id = |id: &FileId| self.has(id).then(|| id.clone());
        name.find(by_id, |path| self.file_at(path).cloned())
    }

    /// A logged event of the room: a new file gets its path.
    pub(crate) fn apply_event(&mut self, json: &[u8]) {
        for change in event::tree_changes(json) {
            if change.op == FileOp::Create {
                self.add(change.id, change.path);
            }
        }
    }
}

impl FromIterator<(FileId, FilePath)> for Names {
    fn from_iter<T: IntoIterator<Item = (FileId, FilePath)>>(names: T) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|(file, path)| all.add(file, path));
        all
    }
}

fn lower(path: &FilePath) -> String {
    path.as_str().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::parse(text).unwrap()
    }

    #[test]
    fn a_path_has_a_twin_as_long_as_one_is_there_that_differs_in_case_only() {
        let [one, two] = [1, 2].map(FileId::from_random);
        let mut names: Names =
            [(one.clone(), path("a.md")), (two.clone(), path("A.md"))].into_iter().collect();
        assert!(names.has_twin(&path("a.MD")) && !names.has_twin(&path("b.md")));
        names.remove(&one);
        assert!(names.has_twin(&path("a.md")) && names.file_at(&path("a.md")).is_none());
        names.add(two.clone(), path("A.md"));
        names.remove(&two);
        assert!(!names.has_twin(&path("a.md")) && names.len() == 0);
    }
}
