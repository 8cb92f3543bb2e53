//! The tests of `probity-engine` on small models that they make.

mod chat_templates;
mod damage;
mod hostile_files;
mod linked_sources;
mod plans;
mod public_reports;
mod scoring;
mod sources;
