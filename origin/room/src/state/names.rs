//! The room's files by id and by path, and which paths differ in case only.

use std::collections::BTreeMap;

use shared::id::{FileId, FilePath};

/// The names of the files.
#[derive(Debug, Default)]
pub(super) struct Names {
    paths: BTreeMap<FilePath, FileId>,
    files: BTreeMap<FileId, FilePath>,
    /// How many paths are the same in lower case.
    lower: BTreeMap<String, usize>,
}

impl Names {
    /// Gives a path to a file.
    pub(super) fn add(&mut self, file: FileId, path: FilePath) {
        if self.paths.insert(path.clone(), file.clone()).is_none() {
            *self.lower.entry(lower(&path)).or_default() += 1;
        }
        self.files.insert(file, path);
    }

    /// Forgets a file and its path.
    pub(super) fn remove(&mut self, file: &FileId) {
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
    pub(super) fn has(&self, file: &FileId) -> bool {
        self.files.contains_key(file)
    }

    /// The path of a file.
    pub(super) fn path_of(&self, file: &FileId) -> Option<&FilePath> {
        self.files.get(file)
    }

    /// The file at a path.
    pub(super) fn file_at(&self, path: &FilePath) -> Option<&FileId> {
        self.paths.get(path)
    }

    /// Whether a path is there that is this one but for the case of letters.
    pub(super) fn has_twin(&self, path: &FilePath) -> bool {
        self.lower.contains_key(&lower(path))
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&FileId, &FilePath)> {
        self.files.iter()
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
