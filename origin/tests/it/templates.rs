//! Templates over REST: listed, and made into shards.

use serde_json::json;

use crate::support::TestOrigin;

#[tokio::test]
async fn a_shard_begins_with_the_files_of_its_template() {
    let origin = TestOrigin::start(&[]).await;
    let listed = origin.get("/api/v1/templates").await.json();
    let ids: Vec<_> =
        listed.as_array().unwrap().iter().map(|template| template["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["vanilla", "react", "vue", "svelte"]);
    for template in listed.as_array().unwrap() {
        let made = origin.post("/api/v1/shards", &json!({ "template": template["id"] })).await;
        assert_eq!(made.status, 201, "{made:?}");
        let made = made.json();
        let mut paths: Vec<_> =
            made["files"].as_array().unwrap().iter().map(|file| file["path"].clone()).collect();
        let mut listed = template["files"].as_array().unwrap().clone();
        paths.sort_by_key(ToString::to_string);
        listed.sort_by_key(ToString::to_string);
        assert_eq!(paths, listed);
        let main = format!(
            "/api/v1/shards/{}/files/{}",
            made["id"].as_str().unwrap(),
            template["main"].as_str().unwrap()
        );
        let text = origin.get(&main).await;
        assert!(text.status == 200 && !text.text.is_empty(), "{text:?}");
    }
    origin.stop().await;
}
