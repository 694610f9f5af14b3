import Server
import Runner
import ArgumentParser
@main struct Reeve: ParsableCommand {}
