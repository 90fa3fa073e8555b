pub mod wit;
