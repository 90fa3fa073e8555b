//! Bar of a budget: how much of it is left.

use maud::{Markup, html};

use super::bars::hatch;
use super::figure;

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 16.0;

/// Share that is left; below zero the budget is overspent, and the whole bar is hatched.
pub(crate) fn budget(name: &str, left: f64, text: &str) -> Markup {
    let is_known = left.is_finite();
    let width = WIDTH * if is_known { left.clamp(0.0, 1.0) } else { 0.0 };
    html! {
        svg.budget viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(sentence(name, left, text)) {
            rect.rest x="0" y="6" width=(figure(WIDTH)) height="4" {}
            @if width > 0.0 { rect.left x="0" y="1" width=(figure(width)) height="14" {} }
            @if is_known && left < 0.0 { path.over d=(hatch(0.0, 2.0, WIDTH, HEIGHT - 4.0)) {} }
        }
    }
}

fn sentence(name: &str, left: f64, text: &str) -> String {
    match left {
        _ if left.is_nan() => format!("{name}: {text}"),
        _ if left < 0.0 => format!("{name}: overspent, {text}"),
        _ => format!("{name}: {:.0} % left, {text}", (left * 100.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_has_the_length_and_overspending_the_shape() {
        insta::assert_snapshot!(
            budget("error budget", 0.625, "27 min").into_string(),
            @r#"<svg class="budget" viewBox="0 0 240 16" role="img" aria-label="error budget: 62 % left, 27 min"><rect class="rest" x="0" y="6" width="240.0" height="4"></rect><rect class="left" x="0" y="1" width="150.0" height="14"></rect></svg>"#
        );
        insta::assert_snapshot!(
            budget("error budget", -0.4, "18 min over").into_string(),
            @r#"<svg class="budget" viewBox="0 0 240 16" role="img" aria-label="error budget: overspent, 18 min over"><rect class="rest" x="0" y="6" width="240.0" height="4"></rect><path class="over" d="M0.0 2.0h240.0M0.0 6.0h240.0M0.0 10.0h240.0"></path></svg>"#
        );
        let unknown = budget("error budget", f64::NAN, "no objective").into_string();
        assert!(
            unknown.contains("error budget: no objective") && !unknown.contains("NaN"),
            "{unknown}"
        );
    }
}
