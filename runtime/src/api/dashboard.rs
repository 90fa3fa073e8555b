//! The pages: rendered here, readable without JavaScript, kept fresh by server-sent fragments. A
//! room is one file beside `overview`; what several rooms show is a fragment; `layout` is the
//! house.

pub(super) mod assets;
pub(super) mod live;
pub(super) mod login;
pub(super) mod overview;

mod changes;
mod fragments;
mod layout;
mod standing;
mod strip;
mod wording;

pub use changes::Changes;
pub use live::Live;
pub(super) use login::login_url;

use maud::{Markup, html};

pub(super) fn not_found_page() -> Markup {
    layout::bare(
        "Not found",
        html! {
            h1 { "Nothing here" }
            p { "There is no page at this address." }
            p { a.button href="/" { "To the services" } }
        },
    )
}
