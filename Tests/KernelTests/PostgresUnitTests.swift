import TestSupport
import Testing

@testable import Kernel

/// The parts of the PostgreSQL driver that need no server.
struct PostgresUnitTests {
    @Test(
        arguments: [
            ("23505", false, "constraint"), ("23514", false, "constraint"), ("23502", true, "constraint"),
            ("42804", true, "constraint"), ("40001", true, "retriable"), ("40P01", true, "retriable"),
            ("55P03", true, "retriable"), ("26000", true, "retriable"), ("53100", true, "full"),
            ("53300", true, "connectionLost"), ("53200", true, "connectionLost"), ("57P01", true, "connectionLost"),
            ("57P02", false, "connectionLost"), ("57P03", true, "connectionLost"), ("08006", true, "connectionLost"),
            ("25P03", true, "connectionLost"), ("57014", true, "timeout"), ("42P01", true, "failed"),
            ("25006", true, "connectionLost"), ("XX000", true, "failed"), ("XX000", false, "connectionLost"),
        ])
    func everyStateHasItsFault(_ state: String, _ isConnected: Bool, _ expected: String) {
        let failure = PostgresFailure(state: state, words: "first\nsecond")
        let fault = failure.fault(isConnected: isConnected, role: .writer)
        #expect("\(fault)".hasPrefix(expected))
        #expect(fault.reason == "\(state): first second")
    }

    @Test func aFaultOfLibpqDependsOnTheConnection() {
        let failure = PostgresFailure(state: nil, words: "no answer")
        #expect("\(failure.fault(isConnected: false, role: .reader))".hasPrefix("connectionLost"))
        #expect("\(failure.fault(isConnected: true, role: .reader))".hasPrefix("failed"))
    }

    @Test func aReaderThatWritesIsOurMistakeNotTheServers() {
        let failure = PostgresFailure(state: "25006", words: "read-only")
        #expect("\(failure.fault(isConnected: true, role: .reader))".hasPrefix("failed"))
    }

    @Test func parametersAreNumberedOutsideOfQuotes() throws {
        let absent: String? = nil
        let sql: SQLText = "SELECT '?' AS \"a?\", \(1), \(absent), \("x") WHERE 'it''s ?' <> \(2.5)"
        #expect(
            try PostgresStatement.numbered(sql) == "SELECT '?' AS \"a?\", $1, NULL, $2 WHERE 'it''s ?' <> $3")
        #expect(PostgresParameters.types(of: sql.values) == [20, 25, 701])
        #expect(throws: StorageFault.self) { _ = try PostgresStatement.numbered("SELECT ?") }
        #expect(throws: StorageFault.self) {
            _ = try PostgresStatement.numbered("SELECT '" + "\(1)" + "'")
        }
    }

    @Test func schemaIsTranslated() {
        let statement = """
            CREATE TABLE t (a TEXT NOT NULL, b INTEGER, c REAL, d BLOB, PRIMARY KEY (a)) STRICT, WITHOUT ROWID
            """
        #expect(
            SQLDialect.postgres.schema(statement) == """
                CREATE TABLE t (a TEXT COLLATE "C" NOT NULL, b BIGINT, c DOUBLE PRECISION, d BYTEA, PRIMARY KEY (a))
                """)
        #expect(SQLDialect.sqlite.schema(statement) == statement)
    }

    @Test(
        arguments: [
            "postgres://reeve:s3cret@db/reeve", "postgres://reeve:s3%63ret@db/reeve",
            "postgres://reeve@db/reeve?password=s3cret", "postgresql://reeve:s3cret@a,b/reeve?sslpassword=s3cret",
        ])
    func aPasswordIsTakenOut(_ url: String) {
        let text = PostgresAddress(url: url).redacted("no entry for\n\"s3cret\" of reeve")
        #expect(text == "no entry for \"(hidden)\" of reeve")
    }

    /// Where a password's own characters break the address, libpq takes parts of it for a host or a port.
    @Test(
        arguments: [
            "postgres://reeve:s3@cret@db/reeve", "postgres://reeve:s3/cret@db/reeve",
            "postgres://reeve:s3%cret@db/reeve",
            "postgres://reeve:[s3cret@db/reeve", "postgres://reeve:s3cret@db/reeve?passwort=s3cret",
        ])
    func aBrokenAddressIsNotSpokenOf(_ url: String) {
        let address = PostgresAddress(url: url)
        let text = address.redacted("cannot find s3 cret s3cret")
        #expect(!text.contains("cret") || url.contains("["))
        let problem = #expect(throws: Problem.self) {
            _ = try StorageOpener.open(.postgres(url: url), migrations: [], world: .test())
        }
        let words = "\(String(describing: problem)) \(String(describing: problem?.cause))"
        #expect(!words.contains("cret"))
    }

    @Test func aServerThatIsNotThereIsSaidInWords() {
        let problem = #expect(throws: Problem.self) {
            _ = try StorageOpener.open(
                .postgres(url: "postgres://reeve:s3cret@127.0.0.1:1/none"), migrations: [], world: .test())
        }
        #expect(problem?.code == .storageUnavailable)
        #expect(problem?.detail.contains("127.0.0.1") == true)
        #expect(problem?.detail.contains("s3cret") == false)
        #expect(problem?.hint.isEmpty == false)
    }
}
