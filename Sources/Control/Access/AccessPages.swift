import Kernel

/// The login page: the one page that is shown to strangers.
enum AccessPages {
    private struct LoginView: PageView {
        let failure: String?
    }

    static func login(message: String? = nil, status: Int = 200) -> APIReply {
        let frame = PageFrame(title: "Sign in", body: "login", page: LoginView(failure: message))
        return PageShell.reply(PageLibrary.shared.render("layout", frame), status: status)
    }
}
