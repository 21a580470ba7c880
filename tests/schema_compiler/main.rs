//! The schema compiler alone: its program, and schemas made at random.

mod command_line;
mod fuzz;
