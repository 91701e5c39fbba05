//! What a project can start from: real files under `templates/`, each with exact versions of what it needs.

/// A template.
#[derive(Debug)]
pub struct Template {
    /// Its id.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// The file to open first.
    pub main: &'static str,
    /// Its files: path and text.
    pub files: &'static [(&'static str, &'static str)],
}

/// The template of that id.
pub fn find(id: &str) -> Option<&'static Template> {
    ALL.iter().find(|template| template.id == id)
}

/// Lists the files of a template's folder.
macro_rules! files {
    ($folder:literal: $($path:literal)+) => {
        &[$(($path, include_str!(concat!("templates/", $folder, "/", $path)))),+]
    };
}

/// Every template, in the order in which they are offered.
pub static ALL: &[Template] = &[
    Template {
        id: "vanilla",
        title: "Vanilla JavaScript",
        description: "Plain JavaScript and CSS, built with Vite",
        main: "src/main.js",
        files: files!("vanilla":
            ".gitignore"
            "README.md"
            "index.html"
            "package.json"
            "public/favicon.svg"
            "src/counter.js"
            "src/main.js"
            "src/style.css"
        ),
    },
    Template {
        id: "react",
        title: "React",
        description: "React 19, built with Vite",
        main: "src/App.jsx",
        files: files!("react":
            ".gitignore"
            "README.md"
            "index.html"
            "package.json"
            "public/favicon.svg"
            "src/App.css"
            "src/App.jsx"
            "src/components/Counter.jsx"
            "src/index.css"
            "src/main.jsx"
            "vite.config.js"
        ),
    },
    Template {
        id: "vue",
        title: "Vue",
        description: "Vue 3, built with Vite",
        main: "src/App.vue",
        files: files!("vue":
            ".gitignore"
            "README.md"
            "index.html"
            "package.json"
            "public/favicon.svg"
            "src/App.vue"
            "src/components/Counter.vue"
            "src/main.js"
            "src/style.css"
            "vite.config.js"
        ),
    },
    Template {
        id: "svelte",
        title: "Svelte",
        description: "Svelte 5, built with Vite",
        main: "src/App.svelte",
        files: files!("svelte":
            ".gitignore"
            "README.md"
            "index.html"
            "jsconfig.json"
            "package.json"
            "public/favicon.svg"
            "src/App.svelte"
            "src/app.css"
            "src/lib/Counter.svelte"
            "src/main.js"
            "svelte.config.js"
            "vite.config.js"
        ),
    },
];

#[cfg(test)]
mod tests {
    use shared::id::FilePath;

    use super::*;

    #[test]
    fn every_template_has_its_main_file_and_exact_versions() {
        for template in ALL {
            let text_of =
                |path: &str| template.files.iter().find(|(known, _)| *known == path).map(|(_, text)| *text);
            assert!(text_of(template.main).is_some(), "{}", template.id);
            for path in ["README.md", "index.html"] {
                assert!(text_of(path).is_some(), "{} lacks {path}", template.id);
            }
            let package = text_of("package.json").unwrap_or_default();
            let package: serde_json::Value = serde_json::from_str(package).unwrap();
            let wanted =
                ["dependencies", "devDependencies"].into_iter().filter_map(|kind| package[kind].as_object());
            for (name, version) in wanted.flatten() {
                let version = version.as_str().unwrap_or_default();
                assert!(
                    version.starts_with(|c: char| c.is_ascii_digit()),
                    "{}: {name} {version}",
                    template.id
                );
            }
        }
    }

    #[test]
    fn every_path_of_a_template_is_a_file_path_and_lf_ends_its_lines() {
        for (path, text) in ALL.iter().flat_map(|template| template.files) {
            assert!(FilePath::parse(path).is_ok(), "{path}");
            assert!(!text.contains('\r'), "{path}");
        }
    }
}
