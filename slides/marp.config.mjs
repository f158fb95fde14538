// How the deck is built: one HTML file that holds its fonts, figures and numbers.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const here = (path) => new URL(path, import.meta.url)
const require = createRequire(import.meta.url)
const base64 = (path) => readFileSync(path).toString('base64')

// Text: every {{name}} of the source is a number from numbers.json, which figures.py computes, or
// the seven lines, which stand on several slides.
const texts = JSON.parse(readFileSync(here('numbers.json'), 'utf8'))
texts.seven_lines = readFileSync(here('seven_lines.md'), 'utf8')
const filled = (source) =>
  source.replace(/\{\{(\w+)\}\}/g, (_, name) => {
    if (!(name in texts)) throw new Error(`numbers.json has no "${name}"`)
    return texts[name]
  })

// Fonts: url(font:FILE) in the theme becomes the file itself.
const fonts = '@fontsource-variable/source-sans-3/files/'
const theme = readFileSync(here('theme.css'), 'utf8').replace(
  /url\(font:([\w.-]+)\)/g,
  (_, file) => `url(data:font/woff2;base64,${base64(require.resolve(fonts + file))})`,
)

// Panels: the module and what it needs stand in the page, so that a hand can move them anywhere.
const text = (value) => JSON.stringify(value).replaceAll('<', '\\u003c')
const live = (name) => `<div class="place"></div>
<script type="module">
const code = new Blob([${text(readFileSync(here('../course_utils/widgets/panels.js'), 'utf8'))}], { type: 'text/javascript' })
const { mount } = await import(URL.createObjectURL(code))
const place = document.querySelector('.live[data-panel=${name}] .place')
for (const swipe of ['touchstart', 'touchmove', 'touchend'])  // turns slides elsewhere
  place.addEventListener(swipe, (event) => event.stopPropagation())
mount(place, ${text(JSON.parse(readFileSync(here('panels.json'), 'utf8'))[name])})
</script>`

const plugin = (md) => {
  md.core.ruler.before('normalize', 'numbers', (state) => {
    state.src = filled(state.src)
  })
  // Figures: each SVG becomes part of the page.
  md.core.ruler.after('inline', 'figures', (state) => {
    for (const block of state.tokens)
      for (const token of block.children ?? []) {
        const source = token.type === 'image' && token.attrGet('src')
        if (source && source.endsWith('.svg'))
          token.attrSet('src', `data:image/svg+xml;base64,${base64(here(source))}`)
      }
  })
  const block = md.renderer.rules.html_block
  md.renderer.rules.html_block = (tokens, i, ...rest) =>
    block(tokens, i, ...rest).replace(/<div class="live" data-panel="(\w+)">/, (tag, name) => tag + live(name))
  // Formulas: what is drawn is named by its TeX, for those who listen.
  for (const rule of ['marp_math_inline', 'marp_math_block']) {
    const render = md.renderer.rules[rule]
    md.renderer.rules[rule] = (tokens, i, ...rest) => {
      const tex = md.utils.escapeHtml(tokens[i].content.trim().replace(/\s+/g, ' '))
      return render(tokens, i, ...rest).replace(
        '<mjx-container',
        `<mjx-container role="img" aria-label="${tex}"`,
      )
    }
  }
}

export default {
  html: true,
  options: { math: 'mathjax' },
  engine: ({ marp }) => {
    marp.themeSet.add(theme)
    return marp.use(plugin)
  },
}
