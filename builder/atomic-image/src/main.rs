fn main() -> std::process::ExitCode {
    atomic_image::cli::main()
}
