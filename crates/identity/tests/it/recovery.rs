//! Recovery codes.

use identity::recovery::{CODE_BYTES, CODES, codes, normalise};

#[test]
fn codes_have_four_groups_and_keep_all_bits() {
    let mut random = [[0_u8; CODE_BYTES]; CODES];
    random[1] = [0xff; CODE_BYTES];
    random[2][CODE_BYTES - 1] = 1;
    let shown = codes(&random);
    assert_eq!(shown[0], "0000-0000-0000-0000");
    assert_eq!(shown[1], "zzzz-zzzz-zzzz-zzzz");
    assert_eq!(shown[2], "0000-0000-0000-0001");
}

#[test]
fn what_a_person_types() {
    let check = |typed: &str, want: Option<&str>| assert_eq!(normalise(typed).ok().as_deref(), want, "{typed:?}");
    check("1k7q-p2m9-xw4t-0zde", Some("1k7qp2m9xw4t0zde"));
    check(" IK7Q P2M9 XW4T OZDE\n", Some("1k7qp2m9xw4t0zde"));
    check("lk7qp2m9xw4tozde", Some("1k7qp2m9xw4t0zde"));
    check("1k7q\u{2013}p2m9\u{2013}xw4t\u{2013}0zde", Some("1k7qp2m9xw4t0zde"));
    check("1k7q-p2m9-xw4t-0zd", None);
    check("1k7q-p2m9-xw4t-0zdee", None);
    check("uk7q-p2m9-xw4t-0zde", None);
    check("ük7q-p2m9-xw4t-0zde", None);
    check("", None);
    check(&"1".repeat(1_000_000), None);
}

#[test]
fn every_shown_code_is_read_back() {
    let random = std::array::from_fn(|no| std::array::from_fn(|at| (no * 37 + at * 101) as u8));
    for code in codes(&random) {
        assert_eq!(normalise(&code.to_uppercase()).unwrap(), code.replace('-', ""));
    }
}

#[test]
fn the_error_does_not_repeat_the_code() {
    assert!(!normalise("zzzz").unwrap_err().to_string().contains("zzzz"));
}
