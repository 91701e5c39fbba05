//! `GET /api/v1/templates`: what a project can start from.

use axum::Json;
use serde::Serialize;

use crate::project::templates::{self, Template};

#[derive(Serialize)]
pub(super) struct Summary {
    id: &'static str,
    title: &'static str,
    description: &'static str,
    main: &'static str,
    files: Vec<&'static str>,
}

impl From<&'static Template> for Summary {
    fn from(template: &'static Template) -> Self {
        let Template { id, title, description, main, files } = template;
        Self { id, title, description, main, files: files.iter().map(|(path, _)| *path).collect() }
    }
}

/// Every template with the paths of its files.
pub(super) async fn list() -> Json<Vec<Summary>> {
    Json(templates::ALL.iter().map(Summary::from).collect())
}
