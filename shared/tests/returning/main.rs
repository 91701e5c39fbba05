//! Members whose connection was cut and who come back at once with the clock that they had: they are seen again,
//! whatever the order in which the hub hears of it, and nobody else can use that to end or replace somebody.

#![expect(clippy::unwrap_used, reason = "what a test cannot read ends it")]

mod place;

use place::{Kind, Place, told};

const ANN: u64 = 7;
const KINDS: [Kind; 3] = [Kind::Version4, Kind::Older, Kind::YWebsocket];

#[test]
fn a_client_that_is_shown_under_the_clock_at_which_it_went_is_told_once_and_seen_with_the_next() {
    for kind in KINDS {
        let mut place = Place::new();
        let ben = place.join(Kind::Version4, &[]);
        let ann = place.join(kind, &[(ANN, 3, r#"{"user":"ann"}"#)]);
        place.end(ann);
        let gone = told((ANN, 3, "null"));
        assert_eq!(place.news(ben), [told((ANN, 3, r#"{"user":"ann"}"#)), gone.clone()]);
        let back = place.join(kind, &[(ANN, 3, r#"{"user":"ann"}"#)]);
        assert_eq!(place.news(back), [gone], "{kind:?}");
        // Providers before 4 and y-websocket say by themselves that they are still there.
        assert_eq!(place.questions(back), usize::from(kind == Kind::Version4), "{kind:?}");
        assert_eq!(place.news(ben), [], "nothing that it would ignore");
        place.show(back, &[(ANN, 4, r#"{"user":"ann"}"#)]);
        assert_eq!(place.news(ben), [told((ANN, 4, r#"{"user":"ann"}"#))], "{kind:?}");
        assert_eq!((place.news(back), place.questions(back)), (vec![], 0), "told once");
        place.end(back);
        assert_eq!(place.news(ben), [told((ANN, 4, "null"))]);
    }
}

#[test]
fn the_end_of_the_old_socket_takes_nothing_from_a_client_that_came_back_before_it() {
    for lost_memory in [None, Some(false), Some(true)] {
        for kind in KINDS {
            let mut place = Place::new();
            let ben = place.join(Kind::Version4, &[]);
            let old = place.join(kind, &[(ANN, 3, r#"{"user":"ann"}"#)]);
            let back = place.join(kind, &[(ANN, 3, r#"{"user":"ann"}"#)]);
            if let Some(latest_first) = lost_memory {
                place.evict(latest_first);
            }
            place.news(ben);
            place.end(old);
            assert_eq!(place.news(ben), [], "{kind:?}");
            place.show(back, &[(ANN, 4, r#"{"user":"ann","at":9}"#)]);
            assert_eq!(place.news(ben), [told((ANN, 4, r#"{"user":"ann","at":9}"#))]);
            place.end(back);
            assert_eq!(place.news(ben), [told((ANN, 4, "null"))], "{kind:?}");
        }
    }
}

#[test]
fn a_client_that_came_back_with_a_higher_clock_is_seen_at_once_and_keeps_what_it_shows() {
    for latest_first in [false, true] {
        let mut place = Place::new();
        let ben = place.join(Kind::Version4, &[]);
        let old = place.join(Kind::Version4, &[(ANN, 3, "{}")]);
        place.news(ben);
        let back = place.join(Kind::Version4, &[(ANN, 4, "{}")]);
        let shown = vec![told((ANN, 4, "{}"))];
        assert_eq!((place.news(ben), place.news(back)), (shown.clone(), shown));
        place.evict(latest_first);
        place.end(old);
        assert_eq!((place.news(ben), place.questions(back)), (vec![], 0));
    }
}

#[test]
fn nobody_ends_or_replaces_a_client_that_is_connected_by_showing_the_same() {
    for kind in KINDS {
        let mut place = Place::new();
        let ben = place.join(Kind::Version4, &[]);
        let ann = place.join(Kind::Version4, &[(ANN, 3, r#"{"user":"ann"}"#)]);
        place.news(ben);
        place.said.clear();
        let eve = place.join(kind, &[(ANN, 3, r#"{"user":"ann"}"#), (9, 1, "{}")]);
        for clock in [3, 4] {
            place.show(eve, &[(ANN, clock, "null")]);
        }
        let mallory = place.join(kind, &[(ANN, 3, r#"{"user":"mallory"}"#)]);
        place.show(mallory, &[(ANN, 4, "null")]);
        place.end(eve);
        assert_eq!(place.news(ben), [told((9, 1, "{}")), told((9, 1, "null"))], "{kind:?}");
        assert_eq!(place.said, [told((9, 1, "{}")), told((9, 1, "null"))], "nor elsewhere");
        assert_eq!(place.questions(ann), 0);
        place.end(ann);
        assert_eq!(place.news(ben), [told((ANN, 3, "null"))], "it is gone with its own socket");
        place.end(mallory);
        assert_eq!(place.news(ben), []);
    }
}

#[test]
fn who_has_shown_somebody_that_was_gone_has_no_say_once_that_one_is_back() {
    for kind in KINDS {
        let mut place = Place::new();
        let ben = place.join(Kind::Version4, &[]);
        let ann = place.join(Kind::Version4, &[(ANN, 3, "{}")]);
        place.end(ann);
        let eve = place.join(kind, &[(ANN, 3, "{}")]);
        let back = place.join(Kind::Version4, &[(ANN, 3, "{}")]);
        place.show(back, &[(ANN, 4, "{}")]);
        place.news(ben);
        for clock in [3, 4, 5] {
            place.show(eve, &[(ANN, clock, "null")]);
        }
        place.end(eve);
        assert_eq!(place.news(ben), [], "{kind:?}");
    }
}

#[test]
fn who_repeats_what_others_show_does_not_keep_them_there() {
    for kind in [Kind::Older, Kind::YWebsocket] {
        let mut place = Place::new();
        let ben = place.join(Kind::Version4, &[]);
        let ann = place.join(Kind::Version4, &[(ANN, 3, "{}")]);
        // One that shows nothing itself: its first awareness is an echo.
        let echoes = place.join(kind, &[]);
        assert_eq!(place.news(echoes), [told((ANN, 3, "{}"))]);
        place.show(echoes, &[(ANN, 3, "{}")]);
        place.news(ben);
        place.end(ann);
        assert_eq!(place.news(ben), [told((ANN, 3, "null"))], "{kind:?}");
        place.show(echoes, &[(ANN, 3, "null")]);
        assert_eq!(place.news(ben), []);
    }
}

#[test]
fn a_hub_that_has_lost_its_memory_has_whoever_comes_raise_its_clock() {
    let mut place = Place::new();
    let ben = place.join(Kind::YWebsocket, &[]);
    let ann = place.join(Kind::Version4, &[(ANN, 3, "{}")]);
    place.end(ann);
    place.news(ben);
    place.evict(false);
    let back = place.join(Kind::Version4, &[(ANN, 3, "{}")]);
    assert_eq!(place.news(back).first(), Some(&told((ANN, 3, "null"))));
    assert_eq!(place.questions(back), 1);
    // It shows all that it knows; of that, only what is its own is taken.
    place.show(back, &[(ANN, 4, "{}"), (99, 5, "{}")]);
    assert_eq!(place.news(ben), [told((ANN, 3, "{}")), told((ANN, 4, "{}"))]);
    // What was lost is settled after a minute, and a hub that was never rebuilt has lost nothing.
    place.now += 60_000;
    let late = place.join(Kind::Version4, &[(8, 3, "{}")]);
    assert_eq!(place.questions(late), 0);
    let mut fresh = Place::new();
    let first = fresh.join(Kind::Version4, &[(8, 3, "{}")]);
    assert_eq!(fresh.questions(first), 0);
}

#[test]
fn an_end_from_another_region_is_answered_by_the_client_that_came_back_here() {
    for kind in KINDS {
        // The other hub has not noticed yet, and its state of the client is known here or not.
        for is_known in [false, true] {
            let mut place = Place::new();
            let ben = place.join(Kind::Version4, &[]);
            if is_known {
                place.hear(&[(ANN, 3, "{}")]);
            }
            let back = place.join(kind, &[(ANN, 3, "{}")]);
            assert_eq!(place.questions(back), 0);
            place.news(back);
            place.hear(&[(ANN, 3, "null")]);
            assert!(place.news(back).contains(&told((ANN, 3, "null"))), "{kind:?} {is_known}");
            assert_eq!(place.questions(back), usize::from(kind == Kind::Version4), "{kind:?} {is_known}");
            place.news(ben);
            place.show(back, &[(ANN, 4, "{}")]);
            assert_eq!(place.news(ben), [told((ANN, 4, "{}"))]);
            // The same end once more, as another hub says it, is old.
            place.hear(&[(ANN, 3, "null")]);
            assert_eq!((place.news(ben), place.questions(back)), (vec![], 0));
        }
    }
}

#[test]
fn a_hub_tells_the_others_that_a_client_which_they_show_is_gone_for_its_members() {
    let mut place = Place::new();
    let ben = place.join(Kind::Version4, &[]);
    let ann = place.join(Kind::Version4, &[(ANN, 3, "{}")]);
    place.end(ann);
    place.said.clear();
    place.news(ben);
    place.hear(&[(ANN, 3, "{}")]);
    assert_eq!(place.said, [told((ANN, 3, "null"))]);
    assert_eq!(place.news(ben), []);
    place.hear(&[(ANN, 3, "null")]);
    place.hear(&[(ANN, 4, "{}")]);
    assert_eq!(place.news(ben), [told((ANN, 4, "{}"))]);
    assert_eq!(place.said.len(), 1, "an end is not answered");
}
