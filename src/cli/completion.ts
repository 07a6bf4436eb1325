import { defineSubcommand } from "./command.ts";
import { EXIT, UsageError } from "./errors.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** All three only ask cloudai itself, so that they need not change when it learns something. */
const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], string>> = {
  bash: `# cloudai completion for bash; in ~/.bashrc: eval "$(cloudai completion bash)"
_cloudai() {
  local line current=\${COMP_LINE:0:COMP_POINT}
  local -a words
  # Not COMP_WORDS: those are split at every : and = too.
  read -ra words <<< "$current"
  [[ $current == *[[:space:]] ]] && words+=("")
  local last=\${words[-1]}
  # What readline replaces begins behind the last : or =.
  local kept=\${last%"\${COMP_WORDS[COMP_CWORD]}"}
  [[ -z \${COMP_WORDS[COMP_CWORD]} || \${COMP_WORDS[COMP_CWORD]} == [:=] ]] && kept=$last
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "\${last#"$kept"}")
      return
    fi
    COMPREPLY+=("\${line#"$kept"}")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _cloudai cloudai
`,
  zsh: `#compdef cloudai
# cloudai completion for zsh; in ~/.zshrc, behind compinit: eval "$(cloudai completion zsh)"
_cloudai() {
  local line
  local -a found
  for line in "\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ $line == :files ]] && { _files; return }
    [[ -n $line ]] && found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe -V cloudai found
}
compdef _cloudai cloudai
`,
  fish: `# cloudai completion for fish; cloudai completion fish > ~/.config/fish/completions/cloudai.fish
function __cloudai_complete
    set -l words (commandline -opc)
    set -l found (command $words[1] __complete -- $words[2..-1] (commandline -ct) 2>/dev/null)
    if test "$found" = ":files"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c cloudai -f -a '(__cloudai_complete)'
`,
};

export const completion = defineSubcommand({
  name: "completion",
  about: `Completes commands, flags, their values, and the ids of tasks and workers, which it asks the master for; when
    that does not answer within a second there are just none.

    bash: eval "$(cloudai completion bash)" in ~/.bashrc. zsh: eval "$(cloudai completion zsh)" in ~/.zshrc, behind
    compinit. fish: cloudai completion fish > ~/.config/fish/completions/cloudai.fish`,
  positionals: [{ name: "SHELL", about: "bash, zsh or fish", choices: SHELLS }],
  flags: {},
  run: async ({ words: [word = ""] }, context) => {
    const shell = SHELLS.find((one) => one === word);
    if (shell === undefined) {
      throw new UsageError(`SHELL is ${JSON.stringify(word)}; it must be bash, zsh or fish.`);
    }
    await context.out(SCRIPTS[shell]);
    return EXIT.done;
  },
});
